//! However a dump is cut, the events are the same and together they are the dump.
#![no_main]

use bkp::sources::postgres::lexer::{DumpError, Lexer};
use libfuzzer_sys::fuzz_target;

fn read(input: &[u8], size: usize) -> (Vec<u8>, Result<(), DumpError>) {
    let mut out = Vec::new();
    let mut lexer = Lexer::new();
    for chunk in input.chunks(size) {
        let pushed = lexer.push(chunk, &mut |_, event| {
            out.extend_from_slice(event.bytes());
            Ok::<(), DumpError>(())
        });
        if pushed.is_err() {
            return (out, pushed);
        }
    }
    let end = lexer.finish(&mut |_, event| {
        out.extend_from_slice(event.bytes());
        Ok(())
    });
    (out, end)
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, input)) = data.split_first() else {
        return;
    };
    let (whole, end) = read(input, usize::MAX);
    assert!(input.starts_with(&whole));
    if end.is_ok() {
        assert_eq!(whole, input);
    }
    let (_, chunked) = read(input, usize::from(first).max(1));
    assert_eq!(end, chunked);
});
