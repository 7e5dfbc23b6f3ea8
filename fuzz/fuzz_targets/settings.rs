#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bkp_fuzz::settings::holds(data));
