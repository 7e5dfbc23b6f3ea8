//! The default policy changes nothing; a replay changes nothing twice.
#![no_main]

use bkp::sources::postgres::rewrite::{Keep, Policy, as_filter};
use libfuzzer_sys::fuzz_target;

fn filter(keep: Keep, input: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    as_filter(Policy::default(), keep, [Ok(input)], &mut out).ok()?;
    Some(out)
}

fuzz_target!(|data: &[u8]| {
    if let Some(same) = filter(Keep::Meta, data) {
        assert_eq!(same, data);
    }
    if let Some(once) = filter(Keep::Nothing, data) {
        assert_eq!(filter(Keep::Nothing, &once).as_deref(), Some(once.as_slice()));
    }
});
