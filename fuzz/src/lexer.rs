//! A dump is cut into the same events whatever chunks it comes in; together they are its bytes, and none is lost at an error.

use bkp::sources::postgres::lexer::{DumpError, Event, Lexer};

/// What kind of event, and its bytes; those that may be split anywhere are joined.
pub type Cut = Vec<(&'static str, Vec<u8>)>;

/// The first byte is the size of the chunks, the rest is the dump.
pub fn holds(input: &[u8]) {
    let Some((&size, input)) = input.split_first() else { return };
    let (whole, end) = cut(input, usize::MAX);
    let bytes: Vec<u8> = whole.iter().flat_map(|(_, bytes)| bytes).copied().collect();
    assert!(input.starts_with(&bytes), "events are not the input");
    assert!(end.is_err() || bytes == input, "a good end, and bytes are missing");
    let (chunked, same_end) = cut(input, usize::from(size).max(1));
    assert_eq!(end, same_end, "chunks decide how it ends");
    // What an error cuts short may be told in part.
    assert!(end.is_err() || whole == chunked, "chunks decide what is in it");
}

/// All events of a dump that comes in such chunks, and how it ended.
pub fn cut(input: &[u8], size: usize) -> (Cut, Result<(), DumpError>) {
    let (mut cut, mut line, mut lexer) = (Cut::new(), 1, Lexer::new());
    let mut sink = |place: bkp::sources::postgres::lexer::Place, event: Event<'_>| {
        assert!(place.line >= line, "lines go back");
        line = place.line;
        let (kind, splits) = match event {
            Event::Space(_) => ("space", true),
            Event::Comment(_) => ("comment", false),
            Event::Statement(_) => ("statement", false),
            Event::Long { first, .. } => ("long", !first),
            Event::Meta(_) => ("meta", false),
            Event::CopyRows { .. } => ("rows", true),
            Event::CopyEnd(_) => ("end of rows", false),
        };
        match cut.last_mut() {
            Some((last, bytes)) if splits && *last == kind => bytes.extend_from_slice(event.bytes()),
            _ => cut.push((kind, event.bytes().to_vec())),
        }
        Ok::<(), DumpError>(())
    };
    for chunk in input.chunks(size) {
        if let Err(error) = lexer.push(chunk, &mut sink) {
            return (cut, Err(error));
        }
    }
    let end = lexer.finish(&mut sink);
    (cut, end)
}
