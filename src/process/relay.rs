//! The relay: what stands between bkp and a program that takes its standard input's end for the end of the data.
//!
//! A bkp that is killed closes all its pipes, and whoever reads one sees an end like any other. restic would store what came so
//! far as a snapshot. So restic starts the relay (`--stdin-from-command`), and stores nothing unless that ends well: the relay
//! passes on what bkp writes into restic's own standard input, in frames, and ends well only after the frame that says that all is
//! there. Killed, or bkp killed, or all of them at once: there is no such frame, and no snapshot.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};

/// The word after bkp's name that makes it a relay; nobody types it.
pub const WORD: &str = "relay-stdin";

/// What the stream begins with: a pipe without it is not ours.
pub(super) const MAGIC: [u8; 8] = *b"bkp-rly1";

/// The head of a frame of so many bytes; 0 says that all is there.
pub(super) fn head(length: u32) -> [u8; 4] {
    length.to_le_bytes()
}

/// Our own program as a path that others can start for as long as we live, even when its file was replaced.
pub fn own_program() -> PathBuf {
    PathBuf::from(format!("/proc/{}/exe", std::process::id()))
}

/// Passes the frames in the parent's standard input to our standard output, until the one that says that all is there.
///
/// # Errors
/// When the stream ends before that, is not ours, or nobody reads. The process must end badly then.
pub fn relay() -> io::Result<()> {
    let parent = rustix::process::getppid().ok_or(io::ErrorKind::NotFound)?;
    // Opened without waiting: a pipe whose writer is dead already would keep us for ever. What is read next may wait.
    let path = format!("/proc/{}/fd/0", parent.as_raw_nonzero());
    let from = open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    fcntl_setfl(&from, OFlags::empty())?;
    let stdout = io::stdout();
    // Best effort: the kernel may cap the size for users who hold many pipes.
    let _ = fcntl_setpipe_size(stdout.as_fd(), 1 << 20);
    pass(&mut File::from(from), stdout.as_fd())
}

fn pass(from: &mut File, to: impl AsFd) -> io::Result<()> {
    let mut magic = [0; MAGIC.len()];
    from.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(io::ErrorKind::InvalidData.into());
    }
    loop {
        let mut head = [0; 4];
        from.read_exact(&mut head)?;
        let mut left = u32::from_le_bytes(head) as usize;
        if left == 0 {
            return Ok(());
        }
        while left > 0 {
            // From pipe to pipe inside the kernel: the relay costs no copy.
            match splice(&*from, None, &to, None, left, SpliceFlags::empty()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(passed) => left -= passed,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// What the relay says of a stream, and what it passed on.
    fn passed(stream: &[u8]) -> (bool, Vec<u8>) {
        let (from, writer) = rustix::pipe::pipe().unwrap();
        let (reader, to) = rustix::pipe::pipe().unwrap();
        File::from(writer).write_all(stream).unwrap();
        let whole = pass(&mut File::from(from), &to).is_ok();
        drop(to);
        let mut all = Vec::new();
        File::from(reader).read_to_end(&mut all).unwrap();
        (whole, all)
    }

    #[test]
    fn only_a_stream_that_says_so_is_whole() {
        let mut stream = MAGIC.to_vec();
        for part in [&b"hello "[..], b"world"] {
            stream.extend_from_slice(&head(u32::try_from(part.len()).unwrap()));
            stream.extend_from_slice(part);
        }
        stream.extend_from_slice(&head(0));
        assert_eq!(passed(&stream), (true, b"hello world".to_vec()));
        for cut in 0..stream.len() {
            assert!(!passed(&stream[..cut]).0, "cut at {cut}");
        }
        assert!(!passed(b"something else\0\0\0\0\0\0").0);
    }
}
