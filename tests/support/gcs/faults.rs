//! Faults that the server commits when asked to.

use std::collections::VecDeque;
use std::time::Duration;

/// What a client can ask of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    List,
    Stat,
    /// Download.
    Get,
    Delete,
    /// Begin a resumable upload.
    Start,
    /// A chunk that is not the last.
    Chunk,
    /// The last chunk.
    Finish,
    /// Ask how far an upload came.
    Query,
    Cancel,
    /// Fetch or exchange a token.
    Token,
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing is done; the answer is this status.
    Status(u16),
    /// The same, with words in the answer.
    Refuse(u16, &'static str),
    /// Nothing is done, and the connection is closed without an answer.
    Reset,
    /// Of an upload: so many bytes of the body are taken and kept, then the connection is closed.
    ResetInBody(usize),
    /// Everything is done, but the answer is lost.
    LostReply,
    /// Nothing happens for so long, then the connection is closed.
    Stall(Duration),
    /// Of a download: the connection breaks after so many bytes.
    Cut(usize),
    /// Of a download: so many bytes are sent as if they were all.
    Short(usize),
    /// One bit of the body is another, on the way in or out.
    FlipBit(usize),
    /// Of the last chunk: one bit is another, and the checksum that came with it is not looked at.
    FlipUnchecked(usize),
    /// Of a chunk: only so many bytes are kept, and the answer says so.
    KeepOnly(usize),
    /// After this answer the object is replaced by another of the same size.
    ReplaceAfter,
}

#[derive(Default)]
pub struct Queue {
    once: VecDeque<(Op, Fault)>,
    /// What the account may never do.
    pub forbidden: Vec<Op>,
}

impl Queue {
    pub fn push(&mut self, op: Op, fault: Fault) {
        self.once.push_back((op, fault));
    }

    pub fn take(&mut self, op: Op) -> Option<Fault> {
        if self.forbidden.contains(&op) {
            return Some(Fault::Refuse(403, "bkp@p.iam.gserviceaccount.com does not have that access."));
        }
        let at = self.once.iter().position(|(queued, _)| *queued == op)?;
        self.once.remove(at).map(|(_, fault)| fault)
    }

    pub fn len(&self) -> usize {
        self.once.len()
    }

    pub fn describe(&self) -> String {
        self.once.iter().map(|(op, fault)| format!("{op:?} {fault:?}")).collect::<Vec<_>>().join(", ")
    }
}
