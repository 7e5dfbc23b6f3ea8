//! Which line of the dump, and which statement of it, each line of psql's input is.

use std::collections::VecDeque;

use crate::sources::postgres::rewrite::Begun;
use crate::sources::postgres::statement::Manner;

/// How many statements are remembered: more than fit between us and psql.
pub const REMEMBERED: usize = 16 * 1024;

#[derive(Debug, Clone)]
struct Sent {
    from: u64,
    to: Option<u64>,
    begun: Begun,
    /// The line of psql's that its rows begin in, and the dump's line of its first row, which may have gone to another psql.
    rows: Option<(u64, u64)>,
    in_transaction: bool,
}

/// What was written to psql.
#[derive(Debug, Default, Clone)]
pub struct Places {
    /// Lines that were written.
    pub written: u64,
    /// From this line of psql's on: the dump's line, or nothing where the text is ours. Ascending.
    marks: Vec<(u64, Option<u64>)>,
    sent: VecDeque<Sent>,
    /// Whether the dump has begun a transaction. A ROLLBACK may be one to a savepoint, and does not count as its end.
    in_transaction: bool,
}

impl Places {
    /// So much was written.
    pub fn wrote(&mut self, sql: &[u8]) {
        self.written += memchr::memchr_iter(b'\n', sql).count() as u64;
    }

    /// What is written next begins in this line of the dump; nothing: it is ours.
    pub fn at(&mut self, dump: Option<u64>) {
        let from = self.written + 1;
        self.marks.pop_if(|(before, _)| *before == from);
        self.marks.push((from, dump));
    }

    /// What is written next is this statement. The oldest is forgotten when there are too many.
    pub fn begins(&mut self, begun: Begun) {
        if self.sent.len() >= REMEMBERED {
            self.sent.pop_front();
        }
        match begun.act {
            "BEGIN" | "START" => self.in_transaction = true,
            "COMMIT" | "END" => self.in_transaction = false,
            _ => {}
        }
        let (from, in_transaction) = (self.written + 1, self.in_transaction);
        self.sent.push_back(Sent {
            from,
            to: begun.lines.map(|lines| from + lines),
            begun,
            rows: None,
            in_transaction,
        });
    }

    /// Rows of the last statement come next; in the dump its first row is in this line.
    pub fn rows(&mut self, first: u64) {
        let from = self.written + 1;
        if let Some(sent) = self.sent.back_mut() {
            sent.rows.get_or_insert((from, first));
        }
    }

    /// The dump's line and its number in the dump of a row of the COPY that ends in psql's line.
    pub fn row(&self, line: u64, row: u64) -> Option<(u64, u64)> {
        let (from, first) = self.sent_in(line)?.rows?;
        let line = self.of(from + row.checked_sub(1)?).0?;
        Some((line, line.checked_sub(first)? + 1))
    }

    /// Whether the next statement would be remembered instead of another.
    pub fn is_full(&self) -> bool {
        self.sent.len() >= REMEMBERED
    }

    /// Forgets the statements that psql is done with.
    pub fn forget(&mut self) {
        self.sent.clear();
        self.marks.drain(..self.marks.len().saturating_sub(1));
    }

    /// Where psql's line stands in the dump, and in words.
    pub fn of(&self, line: u64) -> (Option<u64>, String) {
        match self.marks[..self.marks.partition_point(|(from, _)| *from <= line)].last() {
            Some((from, Some(dump))) => (Some(dump + line - from), format!("line {} of the dump", dump + line - from)),
            Some((_, None)) => (None, "after the dump".to_owned()),
            None => (None, "before the dump".to_owned()),
        }
    }

    /// The statement that ends in psql's line; nothing when there are two, because it may be either.
    pub fn statement(&self, line: u64) -> Option<&Begun> {
        self.sent_in(line).map(|sent| &sent.begun)
    }

    /// Whether that statement stands within a transaction of the dump, so that others are lost with it.
    pub fn is_in_transaction(&self, line: u64) -> bool {
        self.sent_in(line).is_some_and(|sent| sent.in_transaction)
    }

    fn sent_in(&self, line: u64) -> Option<&Sent> {
        let end = self.sent.partition_point(|sent| sent.from <= line);
        let ends_here = |at: usize| {
            let (sent, next) = (&self.sent[at], self.sent.get(at + 1));
            // What ends in a line that another begins in may be meant, but for rows, which end with a line of their own.
            let until = |next: &Sent| next.from - u64::from(sent.begun.manner == Manner::Rows);
            sent.to.map_or_else(|| next.is_none_or(|next| line <= until(next)), |to| to == line)
        };
        let mut found = (end.saturating_sub(3)..end).filter(|at| ends_here(*at));
        match (found.next(), found.next()) {
            (Some(at), None) => Some(&self.sent[at]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::postgres::statement::Statement;

    fn begun(title: &str, lines: Option<u64>) -> Begun {
        let manner = if lines.is_none() { Manner::Rows } else { Manner::Makes };
        Begun { line: Some(1), lines, manner, ..Begun::of(&Statement::parse(title.as_bytes(), true), true) }
    }

    #[test]
    fn a_line_is_told_as_the_dump_counts() {
        let places = Places { written: 20, marks: vec![(4, Some(1)), (10, Some(30)), (20, None)], ..Places::default() };
        assert_eq!(places.of(12), (Some(32), "line 32 of the dump".to_owned()));
        assert_eq!(places.of(9).0, Some(6));
        assert_eq!(places.of(3).1, "before the dump");
        assert_eq!(places.of(21).1, "after the dump");
    }

    #[test]
    fn a_statement_is_found_by_the_line_that_it_ends_in_and_never_guessed() {
        let mut places = Places::default();
        let mut send = |title: &str, lines, written: u64| {
            places.begins(begun(title, lines));
            places.written += written;
        };
        send("A", Some(2), 3);
        send("B", Some(0), 0);
        send("C", Some(0), 1);
        send("COPY t", None, 5);
        send("D", Some(0), 1);
        let title = |line| places.statement(line).map(|begun| begun.about.subject().title);
        assert_eq!((title(2), title(3)), (None, Some("A".to_owned())));
        assert_eq!(title(4), None, "two statements end in one line");
        assert_eq!([title(5), title(9), title(10)].map(Option::unwrap), ["COPY t", "COPY t", "D"]);
    }
}
