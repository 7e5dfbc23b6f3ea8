//! From a run's end to values.

use jiff::Timestamp;

use super::names::*;
use super::{Family, Sample};
use crate::report::facts::{Ended, Saved, Tried};

/// What is known now. What is not in it stays as an earlier run left it: so a run that fails never takes away when one last succeeded.
pub fn of(ended: &Ended) -> Vec<Sample> {
    let mut samples = Samples(Vec::new());
    samples.push(&LAST_RUN, seconds(ended.ended));
    samples.push(&LAST_EXIT, f64::from(ended.exit.code()));
    samples.push(&LAST_DURATION, ended.seconds());
    if ended.is_success() {
        samples.push(&LAST_SUCCESS, seconds(ended.ended));
    }
    if let Some(saved) = &ended.facts.saved {
        samples.saved(saved);
    }
    if let Some(tried) = &ended.facts.tried {
        samples.tried(tried, ended);
    }
    samples.0
}

struct Samples(Vec<Sample>);

impl Samples {
    fn push(&mut self, family: &'static Family, value: f64) {
        self.0.push(Sample { family, item: None, value });
    }

    fn saved(&mut self, saved: &Saved) {
        self.push(&SIZE, float(saved.bytes));
        self.push(&STORED, float(saved.stored_bytes));
        self.push(&ROWS, float(saved.rows));
        self.push(&ITEMS, float(saved.items.len() as u64));
        self.push(&UNREADABLE, float(saved.unreadable));
        self.push(&FORGOTTEN, float(saved.forgotten));
        if let Some(failed) = saved.retention_failed {
            self.push(&RETENTION_FAILING, f64::from(failed));
        }
        // Values of one name stand together.
        for (family, value) in [
            (&ITEM_SIZE, (|item| item.bytes) as fn(&crate::report::facts::SavedItem) -> Option<u64>),
            (&ITEM_ADDED, |item| item.added_bytes),
            (&ITEM_ROWS, |item| item.rows),
        ] {
            self.0.extend(saved.items.iter().filter_map(|item| {
                value(item).map(|value| Sample { family, item: Some(item.item.clone()), value: float(value) })
            }));
        }
    }

    fn tried(&mut self, tried: &Tried, ended: &Ended) {
        self.push(&DRILL_SUCCESS, f64::from(tried.proven));
        self.push(&DRILL_DURATION, ended.seconds());
        if let Some(seconds) = tried.restore_seconds {
            self.push(&DRILL_RESTORE, seconds);
        }
        // As for `list` and retention: a proof of a part is none of the whole.
        if tried.proven && tried.whole {
            self.push(&LAST_PROOF, seconds(ended.ended));
            if let Some(taken) = tried.taken {
                self.push(&PROVEN_BACKUP, seconds(taken));
            }
        }
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

/// A petabyte is told exactly.
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::report::facts::{Facts, SavedItem};

    fn names(exit: Exit, facts: Facts) -> Vec<&'static str> {
        let began = Timestamp::UNIX_EPOCH;
        let ended = Ended { command: "backup", app: Some("shop"), began, ended: began, exit, error: None, facts };
        of(&ended).iter().map(|sample| sample.family.name).collect()
    }

    #[test]
    fn a_run_that_fails_says_when_and_how_and_takes_no_success_away() {
        let ran = [LAST_RUN.name, LAST_EXIT.name, LAST_DURATION.name];
        for exit in [Exit::Failed, Exit::Usage, Exit::Locked, Exit::Terminated] {
            assert_eq!(names(exit, Facts::default()), ran);
        }
        assert!(names(Exit::Done, Facts::default()).contains(&LAST_SUCCESS.name));
    }

    #[test]
    fn what_is_saved_without_its_retention_is_a_success_and_what_lacks_files_is_none() {
        let facts = |retention_failed| Facts {
            saved: Some(Saved { retention_failed, items: vec![SavedItem::default()], ..Saved::default() }),
            ..Facts::default()
        };
        let names_of = names(Exit::RetentionFailed, facts(Some(true)));
        assert!(names_of.contains(&LAST_SUCCESS.name) && names_of.contains(&RETENTION_FAILING.name));
        assert!(!names_of.contains(&ITEM_ROWS.name), "what is not known is not zero");
        assert!(!names(Exit::Partial, facts(Some(false))).contains(&LAST_SUCCESS.name));
        let names_of = names(Exit::Failed, facts(None));
        assert!(names_of.contains(&SIZE.name) && !names_of.contains(&RETENTION_FAILING.name), "what shrank is stored");
    }

    #[test]
    fn a_proof_of_a_part_is_no_proof_of_the_whole() {
        let facts = |proven, whole| Facts {
            tried: Some(Tried { proven, whole, taken: Some(Timestamp::UNIX_EPOCH), restore_seconds: None }),
            ..Facts::default()
        };
        assert!(names(Exit::Done, facts(true, true)).contains(&LAST_PROOF.name));
        assert!(!names(Exit::Done, facts(true, false)).contains(&LAST_PROOF.name));
        assert!(!names(Exit::ProofFailed, facts(false, true)).contains(&LAST_PROOF.name));
    }
}
