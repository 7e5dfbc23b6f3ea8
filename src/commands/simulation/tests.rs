//! The histories of a few seeds, or of as many as are asked for.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::{played, step};

/// How many histories are played.
#[expect(clippy::disallowed_methods, reason = "a number for tests, and no setting of bkp")]
fn seeds() -> u64 {
    std::env::var("BKP_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60)
}

#[test]
fn whatever_happens_the_store_is_what_the_model_says() {
    let (met, taken) = (Cell::new(0), Cell::new(0));
    for seed in 0..seeds() {
        let config = Config { cases: 1, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let history = prop::collection::vec(step(), 10..60);
        let outcome = runner.run(&history, |steps| {
            taken.set(taken.get() + steps.len());
            met.set(met.get() + played(&steps).map_err(TestCaseError::fail)?);
            Ok(())
        });
        if let Err(TestError::Fail(why, steps)) = outcome {
            let told: String = steps.iter().map(|step| format!("  {step:?}\n")).collect();
            panic!("history {seed} does not hold: {why}\n{told}");
        }
    }
    let (histories, taken, met) = (seeds(), taken.get(), met.get());
    println!("{histories} histories, {taken} steps, {met} faults met");
    assert!(met as u64 > histories, "the faults are where nobody comes by");
}
