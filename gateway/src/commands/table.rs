//! Tables for people: a line of headings, columns as wide as their widest cell, numbers to the right.
//!
//! Invariant: on a terminal that is narrower than a table no word is cut: cells wrap between words, and where that is not enough the last
//! column stands below the others. Elsewhere a row is a line.

use terminal_size::{Width, terminal_size_of};

/// Between columns.
const GAP: &str = "  ";
/// In front of a last column that stands below the others.
const INDENT: &str = "    ";

/// Lines without an end of line behind the last, for whatever standard output is.
pub(super) fn lines(headings: &[&str], rows: &[Vec<String>]) -> String {
    let terminal = terminal_size_of(std::io::stdout()).map(|(Width(width), _)| usize::from(width));
    within(terminal, headings, rows)
}

/// A column: its cells wrap at `width`.
#[derive(Clone, Copy)]
struct Column {
    /// The longest word: what it needs.
    least: usize,
    width: usize,
    /// Its cells stand to the right.
    right: bool,
}

impl Column {
    fn of(heading: &str, cells: &[&str]) -> Self {
        let widest = |texts: &mut dyn Iterator<Item = &str>| texts.map(length).max().unwrap_or_default();
        let all = || std::iter::once(heading).chain(cells.iter().copied());
        Self {
            least: widest(&mut all().flat_map(str::split_whitespace)),
            width: widest(&mut all()),
            right: !cells.is_empty() && cells.iter().all(|cell| is_number(cell)),
        }
    }

    /// No wider than this, and as wide as it needs.
    fn at_most(self, width: usize) -> Self {
        Self { width: self.width.min(width.max(self.least)), ..self }
    }
}

fn within(terminal: Option<usize>, headings: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column)).map(String::as_str).collect::<Vec<_>>();
    let columns: Vec<Column> = headings.iter().enumerate().map(|(column, heading)| Column::of(heading, &cells(column))).collect();
    let rows = rows.iter().map(|row| row.iter().map(String::as_str).collect());
    let all: Vec<Vec<&str>> = std::iter::once(headings.to_vec()).chain(rows).collect();
    let shown: Vec<String> = match (terminal, columns.split_last()) {
        (Some(terminal), Some((_, others))) => match narrowed(&columns, terminal) {
            Some(columns) => all.iter().flat_map(|row| line(row, &columns)).collect(),
            None => all.iter().flat_map(|row| below(row, others, terminal)).collect(),
        },
        _ => all.iter().flat_map(|row| line(row, &columns)).collect(),
    };
    shown.join("\n")
}

/// The columns as wide as there is room: the widest give way first. `None` if there is none even for their words.
fn narrowed(columns: &[Column], room: usize) -> Option<Vec<Column>> {
    let room = room.checked_sub(GAP.len() * (columns.len() - 1))?;
    let widest = columns.iter().map(|column| column.width).max()?;
    let at_most = |width: usize| -> Vec<Column> { columns.iter().map(|column| column.at_most(width)).collect() };
    (0..=widest).rev().map(at_most).find(|columns| columns.iter().map(|column| column.width).sum::<usize>() <= room)
}

/// A row: as many lines as its tallest cell.
fn line(row: &[&str], columns: &[Column]) -> Vec<String> {
    let wrapped: Vec<(Vec<String>, &Column)> =
        row.iter().zip(columns).map(|(cell, column)| (wrapped(cell, column.width), column)).collect();
    let lines = wrapped.iter().map(|(lines, _)| lines.len()).max().unwrap_or_default();
    let part = |at: usize, (lines, column): &(Vec<String>, &Column)| {
        let (text, width) = (lines.get(at).map_or("", String::as_str), column.width);
        if column.right { format!("{text:>width$}") } else { format!("{text:width$}") }
    };
    let joined = |at: usize| wrapped.iter().map(|cell| part(at, cell)).collect::<Vec<_>>().join(GAP);
    (0..lines).map(|at| joined(at).trim_end().to_owned()).collect()
}

/// A row whose last cell stands below the others.
fn below(row: &[&str], others: &[Column], terminal: usize) -> Vec<String> {
    let (first, last) = row.split_at(others.len().min(row.len()));
    let others = narrowed(others, terminal).unwrap_or_else(|| others.to_vec());
    let last = last.iter().filter(|cell| !cell.is_empty());
    let last = last.flat_map(|cell| wrapped(cell, terminal.saturating_sub(INDENT.len())));
    line(first, &others).into_iter().chain(last.map(|line| format!("{INDENT}{line}"))).collect()
}

/// A cell in lines no longer than this, if its words are not. What fits is as it was.
fn wrapped(cell: &str, width: usize) -> Vec<String> {
    if length(cell) <= width {
        return vec![cell.to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    for word in cell.split_whitespace() {
        match lines.last_mut().filter(|line| length(line) + 1 + length(word) <= width) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn is_number(cell: &str) -> bool {
    !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
        cells.map(str::to_owned).to_vec()
    }

    #[test]
    fn columns_are_aligned_and_numbers_stand_to_the_right() {
        let rows = [row(["mug", "7", "grün"]), row(["last-one", "1200", ""])];
        let shown = within(None, &["SKU", "UNITS", "COLOUR"], &rows);
        assert_eq!(shown, "SKU       UNITS  COLOUR\nmug           7  grün\nlast-one   1200");
        assert_eq!(within(None, &["SKU", "UNITS"], &[]), "SKU  UNITS");
    }

    #[test]
    fn on_a_narrow_terminal_the_widest_cells_wrap_between_words_and_elsewhere_a_row_is_a_line() {
        let rows =
            [row(["engine.credits", "7", "orders wait when more are in hand"]), row(["log.level", "12", "what is logged"])];
        let headings = ["KEY", "TO", "EFFECT"];
        let expected = "KEY             TO  EFFECT\n\
                        engine.credits   7  orders wait when\n\
                        \x20                   more are in hand\n\
                        log.level       12  what is logged";
        assert_eq!(within(Some(36), &headings, &rows), expected);
        let whole = within(None, &headings, &rows);
        assert_eq!(within(Some(53), &headings, &rows), whole, "there is room");
        assert_eq!(whole.lines().count(), 3);
    }

    #[test]
    fn where_there_is_no_room_for_the_words_of_the_last_column_it_stands_below() {
        let rows = [
            row(["holdfast_orders_total", "counter", "orders that were placed since the start"]),
            row(["holdfast_ready", "gauge", ""]),
        ];
        let expected = [
            "NAME                   KIND",
            "    HELP",
            "holdfast_orders_total  counter",
            "    orders that were placed",
            "    since the start",
            "holdfast_ready         gauge",
        ];
        assert_eq!(within(Some(30), &["NAME", "KIND", "HELP"], &rows), expected.join("\n"));
    }

    #[test]
    fn no_line_is_wider_than_a_terminal_that_has_room_for_its_words() {
        let rows = [row(["a.b", &"word ".repeat(40), &"and another ".repeat(20)]), row(["c.d", "", "x"])];
        for terminal in 20..200 {
            let shown = within(Some(terminal), &["KEY", "ORIGIN", "NOTE"], &rows);
            assert!(shown.lines().all(|line| length(line) <= terminal), "{terminal}: {shown}");
        }
    }
}
