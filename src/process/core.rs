//! No picture of our memory on a disk: it holds passwords, keys and rows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Less than any core file, and the one value at which the kernel does not start the program of `kernel.core_pattern` either, which with
/// a limit of 0 it would (core(5), `do_coredump` in the kernel).
const LEAST: u64 = 1;

/// Lets neither us nor any child leave a core file. What is forbidden already stays so.
pub fn leave_no_core() {
    let maximum = getrlimit(Resource::Core).maximum;
    let most = maximum.map_or(LEAST, |most| most.min(LEAST));
    // Best effort: a sandbox may forbid the call, and then has limits of its own.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(most), maximum: Some(most) });
}
