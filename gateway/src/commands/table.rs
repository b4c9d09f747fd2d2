//! Tables for people: a line of headings, columns as wide as their widest cell, numbers to the right.

/// Lines without an end of line behind the last.
pub(super) fn lines(headings: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let columns: Vec<(usize, bool)> = headings
        .iter()
        .enumerate()
        .map(|(column, heading)| {
            let width = cells(column).map(|cell| cell.chars().count()).fold(heading.chars().count(), usize::max);
            (width, !rows.is_empty() && cells(column).all(|cell| is_number(cell)))
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells
            .zip(&columns)
            .map(|(cell, (width, right))| if *right { format!("{cell:>width$}") } else { format!("{cell:width$}") });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = line(&mut headings.iter().copied());
    let body = rows.iter().map(|row| line(&mut row.iter().map(String::as_str)));
    std::iter::once(head).chain(body).collect::<Vec<_>>().join("\n")
}

fn is_number(cell: &str) -> bool {
    !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_to_the_right() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["mug", "7", "grün"]), row(["last-one", "1200", ""])];
        assert_eq!(lines(&["SKU", "UNITS", "COLOUR"], &rows), "SKU       UNITS  COLOUR\nmug           7  grün\nlast-one   1200");
        assert_eq!(lines(&["SKU", "UNITS"], &[]), "SKU  UNITS");
    }
}
