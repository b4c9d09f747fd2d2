//! Tables of the console: each of them is made here. On a narrow screen a row is a block, with every cell behind the name of its column.
//!
//! Invariants: a cell carries the name of its column, which the style sheet puts in front of it there. Roles say what the parts of a table
//! are, as some browsers forget it of what a style lays out as blocks.

use maud::{Markup, html};

/// A column: its name, and the class of its cells.
#[derive(Clone, Copy)]
pub struct Column {
    name: &'static str,
    class: Option<&'static str>,
}

impl Column {
    pub const fn plain(name: &'static str) -> Self {
        Self { name, class: None }
    }

    /// Numbers to be compared with those above and below.
    pub const fn number(name: &'static str) -> Self {
        Self { name, class: Some("n") }
    }

    /// What somebody wrote: it may be long, and breaks anywhere.
    pub const fn text(name: &'static str) -> Self {
        Self { name, class: Some("text") }
    }

    /// Names of ours, made of words.
    pub const fn words(name: &'static str) -> Self {
        Self { name, class: Some("name") }
    }

    /// Prose, or many of a kind.
    pub const fn list(name: &'static str) -> Self {
        Self { name, class: Some("list") }
    }

    /// A number with a bar beside it.
    pub const fn bar(name: &'static str) -> Self {
        Self { name, class: Some("bar") }
    }
}

/// A row has a cell for each column, and is about what its first cell says.
pub type Row = Vec<Markup>;

pub fn table(id: Option<&str>, columns: &[Column], rows: impl IntoIterator<Item = Row>) -> Markup {
    html! {
        table id=[id] role="table" {
            thead role="rowgroup" {
                tr role="row" { @for Column { name, class } in columns { th scope="col" role="columnheader" class=[class] { (name) } } }
            }
            tbody role="rowgroup" { @for row in rows { tr role="row" { (cells(columns, row)) } } }
        }
    }
}

fn cells(columns: &[Column], row: Row) -> Markup {
    html! {
        @for (at, (Column { name, class }, cell)) in columns.iter().zip(row).enumerate() {
            @if at == 0 { th scope="row" role="rowheader" class=[class] data-column=(name) { (cell) } }
            @else { td role="cell" class=[class] data-column=(name) { (cell) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_table_says_what_it_is_and_every_cell_the_name_of_its_column() {
        let columns = [Column::text("SKU"), Column::number("Lines")];
        let shown = table(Some("hot"), &columns, [vec![html! { "<b>" }, html! { (7) }]]).into_string();
        for expected in [
            "<table id=\"hot\" role=\"table\"><thead role=\"rowgroup\"><tr role=\"row\">",
            "<th scope=\"col\" role=\"columnheader\" class=\"n\">Lines</th></tr></thead><tbody role=\"rowgroup\"><tr role=\"row\">",
            "<th scope=\"row\" role=\"rowheader\" class=\"text\" data-column=\"SKU\">&lt;b&gt;</th>",
            "<td role=\"cell\" class=\"n\" data-column=\"Lines\">7</td></tr></tbody>",
        ] {
            assert!(shown.contains(expected), "{expected} is not in {shown}");
        }
    }
}
