//! What goes wrong, and at which steps it can.

use std::fmt;
use std::time::Duration;

/// Where a step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A child begins.
    Begins,
    /// A child has done its work, and bkp does not know yet.
    Ends,
    /// A request to a store.
    Request,
    /// A message to PostgreSQL.
    Message,
    /// Something said to the Kubernetes API, under TLS.
    Api,
    /// A request to the Kubernetes API, as the API itself reads it.
    Asked,
}

/// One step of a run: the `nth` of its name, from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    pub kind: Kind,
    pub name: String,
    pub nth: usize,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.kind {
            Kind::Begins => " begins",
            Kind::Ends => " ends",
            _ => "",
        };
        write!(f, "{}{verb} ({})", self.name, self.nth)
    }
}

/// What is taken away from the account that bkp runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// To enter the repository.
    Repository,
    /// To enter the directory of files.
    Files,
    /// To log in, and to be superuser.
    Database,
}

/// Something that goes wrong at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The child exits with 1, before or after its work.
    Exits,
    /// The child is killed, before or after its work.
    Killed,
    /// The child does nothing any more; after a while bkp gets TERM, as from a kubelet.
    Hangs,
    /// The connection is reset with what was sent unread.
    Reset,
    /// The server answers so and does nothing.
    Status(u16),
    /// The connection stays, and nothing comes back on it any more; after a while bkp gets TERM, as from a kubelet.
    Stalls,
    /// The whole server is silent, on this connection and on new ones; after a while bkp gets TERM, too.
    Silent,
    /// It is silent for a while and then goes on with all that was sent to it. Nobody loses patience.
    Frozen,
    /// The request is never answered, others are. Nobody loses patience.
    Unanswered,
    /// One bit is turned on the way: of what is stored, or of what is read.
    Flipped,
    /// The file system of repository, files, notes and temporary files is full.
    DiskFull,
    /// The file system of PostgreSQL's own files is full.
    ServerFull,
    /// bkp may open nothing more.
    NoDescriptors,
    /// bkp, and what it starts from now on, gets no more memory.
    NoMemory,
    /// bkp's clock goes by so many days.
    Clock(i8),
    /// A right is lost.
    Denied(Right),
    /// No host name is known any more.
    NoNames,
    /// As a kubelet ends a pod.
    Term,
    /// As an impatient operator ends it.
    IntTwice,
    /// bkp and all its children at once, as a node that loses power.
    Kill,
    /// bkp alone, as the kernel does when memory is short; its children are orphans.
    KillAlone,
}

use Fault::{
    Clock, Denied, DiskFull, Exits, Flipped, Frozen, Hangs, IntTwice, Kill, KillAlone, Killed, NoDescriptors, NoMemory,
    NoNames, Reset, ServerFull, Silent, Stalls, Status, Term, Unanswered,
};

/// The columns of the table.
pub const COLUMNS: [&str; 17] = [
    "exits",
    "killed",
    "hangs",
    "reset",
    "429/500/503",
    "checksum",
    "disk full",
    "descriptors",
    "memory",
    "clock",
    "permission",
    "DNS",
    "TERM",
    "INT twice",
    "kill -9",
    "silence",
    "server's disk",
];

impl Fault {
    /// Which column counts it.
    pub fn column(self) -> usize {
        match self {
            Exits => 0,
            Killed => 1,
            Hangs => 2,
            Reset => 3,
            // Refused for good is a permission.
            Status(403) => 10,
            Status(_) => 4,
            Flipped => 5,
            DiskFull => 6,
            NoDescriptors => 7,
            NoMemory => 8,
            Clock(_) => 9,
            Denied(_) => 10,
            NoNames => 11,
            Term => 12,
            IntTwice => 13,
            Kill | KillAlone => 14,
            Stalls | Silent | Frozen | Unanswered => 15,
            ServerFull => 16,
        }
    }

    /// Those that the step itself meets; all others happen to the world around it while it waits.
    pub fn is_of_the_step(self) -> bool {
        match self {
            Exits | Killed | Hangs | Reset | Status(_) | Flipped | Stalls | Silent | Frozen | Unanswered => true,
            DiskFull | ServerFull | NoDescriptors | NoMemory | Clock(_) | Denied(_) | NoNames | Term | IntTwice
            | Kill | KillAlone => false,
        }
    }

    /// How long bkp is waited for that was asked to end because nothing goes on any more; none where nobody asks.
    pub fn grace(self) -> Option<Duration> {
        match self {
            Hangs => Some(Duration::from_secs(10)),
            // A kubelet's default.
            Stalls | Silent => Some(Duration::from_secs(30)),
            _ => None,
        }
    }

    /// The exit codes that tell the truth about it. 101 is nobody's, a panic; so are 134 and 139, an abort and a stack that cannot grow.
    pub fn codes(self) -> &'static [i32] {
        match self {
            // Once all is saved, a signal only keeps old ones from being forgotten, and is told as that.
            Term | Hangs | Stalls | Silent => &[143, 0, 4],
            // Whoever waits long enough is served.
            Frozen | Unanswered => &[0],
            IntTwice => &[130, 0, 4],
            Kill | KillAlone => &[137],
            // What allocates in a process without memory is aborted by the language's own rule.
            NoMemory => &[0, 1, 3, 4, 5, 10, 11, 12, 134, 139],
            _ => &[0, 1, 3, 4, 5, 10, 11, 12],
        }
    }
}

/// What a line may do that neither answers nor ends.
const SILENCE: [Fault; 3] = [Stalls, Silent, Frozen];

/// All that can go wrong at a step.
pub fn at(step: &Step, has_database: bool, has_files: bool) -> Vec<Fault> {
    let world = [Term, IntTwice, Kill, KillAlone];
    let surroundings = [DiskFull, NoDescriptors, NoMemory, Clock(-1), Clock(1), NoNames, Denied(Right::Repository)];
    let mut faults = match step.kind {
        Kind::Begins => [&[Exits, Killed, Hangs][..], &surroundings, &world].concat(),
        Kind::Ends => vec![Exits, Killed, Term, Kill],
        Kind::Request => {
            let is_content =
                (step.name.starts_with("PUT") || step.name.starts_with("GET")) && !step.name.contains("list");
            let checksum = if is_content { &[Flipped][..] } else { &[] };
            let answers = [Reset, Status(429), Status(500), Status(503), Status(403), NoNames, Term, Kill];
            [&answers[..], checksum, &SILENCE].concat()
        }
        Kind::Message => [&[Reset, NoNames, Term, Kill][..], &SILENCE, &[ServerFull]].concat(),
        Kind::Api => [&[Reset, Term, IntTwice, Kill, KillAlone][..], &SILENCE].concat(),
        Kind::Asked => vec![Status(429), Status(500), Status(503), Status(403), Unanswered],
    };
    if step.kind == Kind::Begins && has_database {
        faults.extend([Denied(Right::Database), ServerFull]);
    }
    if step.kind == Kind::Begins && has_files {
        faults.push(Denied(Right::Files));
    }
    faults
}
