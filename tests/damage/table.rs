//! The matrix as people read it.

use super::cells::{Answer, Asked, Cell};

pub fn of(title: &str, cells: &[Cell]) -> String {
    let Some(first) = cells.first() else { return String::new() };
    let asked: Vec<Asked> = first.answers.iter().map(|answer| answer.asked).collect();
    let mut rows: Vec<Vec<String>> =
        vec![[title, "damage"].into_iter().chain(asked.iter().map(|asked| asked.word())).map(str::to_owned).collect()];
    for cell in cells {
        let words = cell.answers.iter().map(Answer::word);
        rows.push([cell.what.clone(), cell.how.to_owned()].into_iter().chain(words).collect());
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (word, width) in row.iter().zip(&widths) {
            text.push_str(&format!("| {word:width$} "));
        }
        text.push_str("|\n");
    }
    let asked: usize = cells.iter().map(|cell| cell.answers.len()).sum();
    let noticed = cells.iter().filter(|cell| cell.is_noticed()).count();
    let harmless = cells.iter().filter(|cell| !cell.is_noticed() && !cell.matters()).count();
    let unseen = cells.len() - noticed - harmless;
    text.push_str(&format!(
        "{}: {} damages, {asked} commands: {noticed} damages told, {harmless} changed nothing that is restored, {unseen} not to be seen\n",
        title,
        cells.len()
    ));
    text
}
