//! Temporary directories that vanish with the test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::watch::Watched;

/// What must be free in memory before clusters go there; containers often have 64 MB, and a large test half a gigabyte.
const PLENTY_BYTES: u64 = 4 << 30;

/// A directory under the system's temporary one, which everybody may enter, as servers run as another user than the tests.
///
/// The name is short: a unix socket's path inside must stay below 108 bytes.
pub struct WorkDir(tempfile::TempDir, Watched);

impl WorkDir {
    /// Makes an empty directory.
    pub fn new() -> Self {
        Self::under(&std::env::temp_dir())
    }

    /// Makes one in memory where there is plenty: copying a cluster to disk takes five times as long.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        match rustix::fs::statvfs(memory) {
            Ok(free) if free.f_bavail * free.f_frsize > PLENTY_BYTES => Self::under(memory),
            _ => Self::new(),
        }
    }

    fn under(parent: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("bkp-").tempdir_in(parent).expect("a temporary directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        Self(dir, Watched::begin())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path inside, which need not exist.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A new directory inside.
    pub fn dir(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(&path).expect("mkdir");
        path
    }

    /// A new file inside, its parents made as needed.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("mkdir");
        }
        fs::write(&path, content).expect("write");
        path
    }
}

impl Default for WorkDir {
    fn default() -> Self {
        Self::new()
    }
}
