//! What SQLite answers, copied out of it: the values of all rows one after the other, and the octets of all texts, blobs and ids in one
//! piece. A list has many rows of many short values; a place in memory for each would cost more than to read them.

use super::DbError;
use rusqlite::types::ValueRef;
use std::ops::Range;
use std::sync::Arc;

/// All rows of an answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    columns: usize,
    cells: Vec<Cell>,
    octets: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Cell {
    Null,
    Int(i64),
    Text(Range<usize>),
    Bytes(Range<usize>),
    /// What no column of ours has.
    Real,
}

impl Answer {
    pub(super) fn of(columns: usize) -> Self {
        Self { columns, ..Self::default() }
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Takes the next value.
    pub(super) fn push(&mut self, value: ValueRef<'_>) {
        let cell = match value {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(value) => Cell::Int(value),
            ValueRef::Real(_) => Cell::Real,
            ValueRef::Text(text) => Cell::Text(self.keep(text)),
            ValueRef::Blob(bytes) => Cell::Bytes(self.keep(bytes)),
        };
        self.cells.push(cell);
    }

    fn keep(&mut self, octets: &[u8]) -> Range<usize> {
        let start = self.octets.len();
        self.octets.extend_from_slice(octets);
        start..self.octets.len()
    }

    /// Its rows.
    pub(super) fn rows(self) -> impl Iterator<Item = CopiedRow> {
        let (columns, count) = (self.columns, self.cells.len().checked_div(self.columns).unwrap_or_default());
        let answer = Arc::new(self);
        (0..count).map(move |row| CopiedRow { answer: answer.clone(), first: row * columns })
    }
}

/// One of them.
pub struct CopiedRow {
    answer: Arc<Answer>,
    /// Where its values begin.
    first: usize,
}

impl CopiedRow {
    fn cell(&self, column: usize) -> Option<&Cell> {
        self.answer.cells.get(self.first + column).filter(|_| column < self.answer.columns)
    }

    pub(super) fn opt_int(&self, column: usize) -> Result<Option<i64>, DbError> {
        match self.cell(column) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Int(value)) => Ok(Some(*value)),
            _ => Err(DbError::Shape(column)),
        }
    }

    pub(super) fn opt_str(&self, column: usize) -> Result<Option<&str>, DbError> {
        match self.cell(column) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Text(place)) => {
                let text = std::str::from_utf8(&self.answer.octets[place.clone()]);
                text.map(Some).map_err(|_| DbError::Shape(column))
            }
            _ => Err(DbError::Shape(column)),
        }
    }

    pub(super) fn opt_bytes(&self, column: usize) -> Result<Option<&[u8]>, DbError> {
        match self.cell(column) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Bytes(place)) => Ok(Some(&self.answer.octets[place.clone()])),
            _ => Err(DbError::Shape(column)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_as_they_were_in_every_row() {
        let mut answer = Answer::of(3);
        for (number, text) in [(1, "one"), (2, ""), (3, "three")] {
            answer.push(ValueRef::Integer(number));
            answer.push(ValueRef::Text(text.as_bytes()));
            let bytes = [number as u8, 0];
            answer.push(if number == 2 { ValueRef::Null } else { ValueRef::Blob(&bytes) });
        }
        let rows: Vec<CopiedRow> = answer.rows().collect();
        assert_eq!(rows.len(), 3);
        for (row, (number, text, bytes)) in
            rows.iter().zip([(1, "one", Some([1, 0])), (2, "", None), (3, "three", Some([3, 0]))])
        {
            assert_eq!(row.opt_int(0).unwrap(), Some(number));
            assert_eq!(row.opt_str(1).unwrap(), Some(text));
            assert_eq!(row.opt_bytes(2).unwrap(), bytes.as_ref().map(|bytes| bytes.as_slice()));
        }
    }

    #[test]
    fn a_value_of_another_kind_and_a_column_that_is_not_there_are_told() {
        let mut answer = Answer::of(3);
        answer.push(ValueRef::Real(0.5));
        answer.push(ValueRef::Text(&[0xff]));
        answer.push(ValueRef::Integer(1));
        answer.push(ValueRef::Null);
        answer.push(ValueRef::Null);
        answer.push(ValueRef::Null);
        let rows: Vec<CopiedRow> = answer.rows().collect();
        assert!(matches!(rows[0].opt_int(0), Err(DbError::Shape(0))));
        assert!(matches!(rows[0].opt_str(1), Err(DbError::Shape(1))));
        assert!(matches!(rows[0].opt_bytes(2), Err(DbError::Shape(2))));
        assert!(matches!(rows[0].opt_int(3), Err(DbError::Shape(3))));
        assert_eq!(rows[1].opt_str(0).unwrap(), None);
    }

    #[test]
    fn no_columns_are_no_rows() {
        assert_eq!(Answer::of(0).rows().count(), 0);
    }
}
