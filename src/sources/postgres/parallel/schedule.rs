//! Which of the statements after the data may begin now. Pure: statements with what they touch go in, numbers come out.
//!
//! The rule: a statement begins when no earlier one that is not over touches the same thing, unless both only share it. So the
//! order of any two that could disturb each other is that of the dump, and nothing waits in a circle, because each only ever waits
//! for earlier ones. Among those that may begin the heaviest comes first: a large index begun last would be waited for alone.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// How a statement touches something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// Others may do the same meanwhile.
    Shared,
    /// Nobody else may touch it meanwhile.
    Alone,
}

/// Statements that wait and run, each touching some of `R`.
#[derive(Debug)]
pub struct Schedule<R, T> {
    next: u64,
    waiting: BTreeMap<u64, Waiting<R, T>>,
    ready: BinaryHeap<(u64, std::cmp::Reverse<u64>)>,
    running: BTreeMap<u64, Vec<(R, Hold)>>,
    /// Everybody who is not over, by what they touch, in order.
    queues: BTreeMap<R, Queue>,
}

/// Who touches one thing, by their numbers. Apart, because most of those who share a thing have nobody to wait for: a table that ten
/// thousand keys refer to.
#[derive(Debug, Default)]
struct Queue {
    shared: BTreeSet<u64>,
    alone: BTreeSet<u64>,
}

impl Queue {
    fn of(&mut self, hold: Hold) -> &mut BTreeSet<u64> {
        match hold {
            Hold::Shared => &mut self.shared,
            Hold::Alone => &mut self.alone,
        }
    }

    /// How many are in the way of one that comes last.
    fn in_the_way(&self, hold: Hold) -> usize {
        self.alone.len() + if hold == Hold::Alone { self.shared.len() } else { 0 }
    }

    /// Who waits for this one.
    fn wait_for(&self, number: u64, hold: Hold) -> impl Iterator<Item = u64> {
        let shared = self.shared.range(number..).filter(move |_| hold == Hold::Alone);
        self.alone.range(number..).chain(shared).copied()
    }
}

#[derive(Debug)]
struct Waiting<R, T> {
    what: T,
    weight: u64,
    touches: Vec<(R, Hold)>,
    /// How many earlier ones it still has to wait for, each counted once for everything that is in conflict.
    before: usize,
}

impl<R, T> Default for Schedule<R, T> {
    fn default() -> Self {
        Self {
            next: 0,
            waiting: BTreeMap::new(),
            ready: BinaryHeap::new(),
            running: BTreeMap::new(),
            queues: BTreeMap::new(),
        }
    }
}

impl<R: Ord + Clone, T> Schedule<R, T> {
    /// Takes in the next statement of the dump.
    pub fn add(&mut self, what: T, touches: impl IntoIterator<Item = (R, Hold)>, weight: u64) -> u64 {
        let number = self.next;
        self.next += 1;
        // Who touches a thing twice touches it in the stronger way.
        let mut once: BTreeMap<R, Hold> = BTreeMap::new();
        for (thing, hold) in touches {
            let held = once.entry(thing).or_insert(hold);
            *held = hold.max(*held);
        }
        let mut before = 0;
        for (thing, hold) in &once {
            let queue = self.queues.entry(thing.clone()).or_default();
            before += queue.in_the_way(*hold);
            queue.of(*hold).insert(number);
        }
        if before == 0 {
            self.ready.push((weight, std::cmp::Reverse(number)));
        }
        self.waiting.insert(number, Waiting { what, weight, touches: once.into_iter().collect(), before });
        number
    }

    /// The statement to begin now; nothing when all that wait have to.
    pub fn begin(&mut self) -> Option<(u64, T)> {
        let (_, std::cmp::Reverse(number)) = self.ready.pop()?;
        let begun = self.waiting.remove(&number)?;
        self.running.insert(number, begun.touches);
        Some((number, begun.what))
    }

    /// The same, but nothing when it is heavier than this.
    pub fn begin_at_most(&mut self, weight: u64) -> Option<(u64, T)> {
        if self.ready.peek()?.0 <= weight { self.begin() } else { None }
    }

    /// How many may begin now.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// A statement that was begun is over.
    pub fn over(&mut self, number: u64) {
        for (thing, hold) in self.running.remove(&number).unwrap_or_default() {
            let Some(queue) = self.queues.get_mut(&thing) else { continue };
            queue.of(hold).remove(&number);
            for later in queue.wait_for(number, hold) {
                if let Some(waiting) = self.waiting.get_mut(&later) {
                    waiting.before -= 1;
                    if waiting.before == 0 {
                        self.ready.push((waiting.weight, std::cmp::Reverse(later)));
                    }
                }
            }
            if queue.shared.is_empty() && queue.alone.is_empty() {
                self.queues.remove(&thing);
            }
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits and nothing runs.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Touches = Vec<(u8, Hold)>;

    fn touches() -> impl Strategy<Value = Touches> {
        let hold = prop::sample::select(vec![Hold::Shared, Hold::Alone]);
        prop::collection::vec((0..5_u8, hold), 0..4)
    }

    fn disturb(one: &Touches, other: &Touches) -> bool {
        one.iter()
            .any(|(a, held)| other.iter().any(|(b, hold)| a == b && (*held, *hold) != (Hold::Shared, Hold::Shared)))
    }

    proptest! {
        /// Statements come, begin on so many lanes and end in any order, mixed in any way.
        #[test]
        fn the_rule_holds_in_every_order_of_coming_and_ending(
            statements in prop::collection::vec((touches(), 0..4_u64), 0..40),
            lanes in 1..5_usize,
            choices in prop::collection::vec(any::<prop::sample::Index>(), 400),
            eager in any::<bool>(),
        ) {
            let mut schedule = Schedule::default();
            let mut choices = choices.iter().cycle();
            let (mut added, mut running, mut over) = (0, Vec::<usize>::new(), vec![false; statements.len()]);
            let mut steps = 0;
            while over.iter().any(|over| !over) {
                steps += 1;
                prop_assert!(steps < 1000, "nothing goes on any more");
                let coming = added < statements.len();
                if coming && (eager || choices.next().unwrap().index(2) == 0) {
                    let (touches, weight) = statements[added].clone();
                    prop_assert_eq!(schedule.add(added, touches, weight), added as u64);
                    added += 1;
                }
                if running.len() < lanes && let Some((number, what)) = schedule.begin() {
                    prop_assert_eq!(number, what as u64);
                    prop_assert!(!over[what] && !running.contains(&what), "begun twice");
                    for other in &running {
                        prop_assert!(!disturb(&statements[what].0, &statements[*other].0), "two disturb each other");
                    }
                    for earlier in 0..what {
                        prop_assert!(over[earlier] || !disturb(&statements[what].0, &statements[earlier].0), "an earlier one was passed");
                    }
                    running.push(what);
                } else if !running.is_empty() {
                    let ended = running.remove(choices.next().unwrap().index(running.len()));
                    over[ended] = true;
                    schedule.over(ended as u64);
                } else {
                    prop_assert!(added < statements.len(), "a circle: nothing runs, nothing may begin");
                    if coming && !eager {
                        let (touches, weight) = statements[added].clone();
                        schedule.add(added, touches, weight);
                        added += 1;
                    }
                }
            }
            prop_assert!(schedule.is_empty() && schedule.queues.is_empty());
        }
    }

    #[test]
    fn the_heaviest_begins_first_and_the_earliest_among_equals() {
        let mut schedule = Schedule::default();
        for (what, weight) in [("a", 1), ("b", 9), ("c", 9), ("d", 3)] {
            schedule.add(what, [(what, Hold::Alone)], weight);
        }
        let order: Vec<&str> = std::iter::from_fn(|| schedule.begin()).map(|(_, what)| what).collect();
        assert_eq!(order, ["b", "c", "d", "a"]);
    }

    #[test]
    fn indexes_of_one_table_go_together_and_its_key_waits() {
        let mut schedule = Schedule::default();
        schedule.add("index", [("t", Hold::Shared)], 1);
        schedule.add("index 2", [("t", Hold::Shared)], 1);
        schedule.add("key", [("t", Hold::Alone), ("u", Hold::Alone)], 9);
        schedule.add("of another", [("u", Hold::Shared)], 1);
        let first: Vec<u64> = std::iter::from_fn(|| schedule.begin()).map(|(number, _)| number).collect();
        assert_eq!(first, [0, 1], "the last one waits behind the key");
        schedule.over(0);
        assert!(schedule.begin().is_none());
        schedule.over(1);
        assert_eq!(schedule.begin(), Some((2, "key")));
        schedule.over(2);
        assert_eq!(schedule.begin(), Some((3, "of another")));
    }
}
