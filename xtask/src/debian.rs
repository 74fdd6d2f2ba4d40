//! A Debian of our own in a folder that is kept for the next run, for what this machine does not have.
//!
//! Nothing on the host changes. What is mounted in there only those see who run in there, and it is gone with them, as
//! are all processes that they leave.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail};

use crate::{
    process,
    tools::{DEBOOTSTRAP, Tools},
    workspace::Workspace,
};

/// The release.
const SUITE: &str = "trixie";

const SETUP_LIMIT: Duration = Duration::from_secs(1200);

/// What is to be in it.
pub(crate) struct Recipe {
    /// Names the folder.
    pub(crate) name: &'static str,
    /// Another architecture whose packages may be installed too.
    pub(crate) architecture: Option<&'static str>,
    pub(crate) packages: &'static str,
}

/// A Debian that is set up.
pub(crate) struct Debian {
    folder: PathBuf,
}

impl Debian {
    /// Whether this machine lets us have one: root, and debootstrap.
    pub(crate) fn is_possible(workspace: &Workspace) -> bool {
        rustix::process::geteuid().is_root()
            && Tools::set_up(workspace, &[DEBOOTSTRAP]).missing(DEBOOTSTRAP).is_none()
    }

    /// Finds it, or sets it up.
    pub(crate) fn set_up(workspace: &Workspace, recipe: &Recipe) -> anyhow::Result<Self> {
        let cache = cache(workspace);
        fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
        let named = |end: &str| cache.join(format!("{}-{SUITE}{end}", recipe.name));
        let (folder, unfinished) = (named(""), named(".unfinished"));
        // Held while it is set up, so that two at a time do not meet.
        let lock = File::create(named(".lock"))?;
        lock.lock()?;
        let stamp = |folder: &Path| folder.join("set-up-with");
        if fs::read_to_string(stamp(&folder)).is_ok_and(|packages| packages == recipe.packages) {
            return Ok(Self { folder });
        }
        println!("setting up Debian {SUITE} with {} in {} …", recipe.packages, folder.display());
        for old in [&folder, &unfinished] {
            if old.exists() {
                fs::remove_dir_all(old).with_context(|| format!("remove {}", old.display()))?;
            }
        }
        fs::create_dir_all(&unfinished).with_context(|| format!("create {}", unfinished.display()))?;
        let mut command = apart(INSTALL, &unfinished);
        command.args([SUITE, recipe.architecture.unwrap_or(""), recipe.packages]);
        let log = workspace.scratch().join(format!("logs/{}-debian.log", recipe.name));
        let finished = process::run(&mut command, SETUP_LIMIT, &log)?;
        if !finished.success() {
            bail!("setting up {}: {}\n{}", folder.display(), finished.verdict(), finished.output.trim_end());
        }
        fs::write(stamp(&unfinished), recipe.packages)?;
        fs::rename(&unfinished, &folder).with_context(|| format!("make {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// A command in there that sees `folders` of the host at their own paths, the first of which is where it runs. What
    /// is to run comes as its arguments.
    pub(crate) fn command(&self, folders: &[impl AsRef<Path>]) -> Command {
        let mut command = apart(RUN, &self.folder);
        command.args(folders.iter().map(AsRef::as_ref)).arg("--");
        command
    }
}

/// Sets up: folder, release, architecture, packages. A set-up that was cut short is thrown away, so nothing need be
/// safe on the disk before it is over.
const INSTALL: &str = r#"
debootstrap --variant=minbase "$2" "$1"
echo force-unsafe-io > "$1/etc/dpkg/dpkg.cfg.d/unsafe-io"
mount -t proc proc "$1/proc"
if [ "$3" ]; then chroot "$1" dpkg --add-architecture "$3"; chroot "$1" apt-get -q update; fi
export DEBIAN_FRONTEND=noninteractive
chroot "$1" apt-get -q install -y --no-install-recommends $4
chroot "$1" apt-get clean
"#;

/// Runs: folder, folders of the host, `--`, command.
const RUN: &str = r#"
debian=$1; shift; work=$1
mount -t proc proc "$debian/proc"
while [ "$1" != -- ]; do mkdir -p "$debian$1"; mount --rbind "$1" "$debian$1"; shift; done
shift
exec chroot "$debian" /usr/bin/env -C "$work" PATH=/usr/bin:/bin HOME=/root "$@"
"#;

/// A shell whose mounts and processes are its own, and gone when it ends. `$1` is the folder.
fn apart(script: &str, folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-eu", "-c", script, "sh"]).arg(folder);
    command
}

fn cache(workspace: &Workspace) -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|cache| cache.is_absolute());
    let cache = cache.or_else(|| env::home_dir().map(|home| home.join(".cache")));
    cache.unwrap_or_else(|| workspace.scratch()).join("pan123")
}
