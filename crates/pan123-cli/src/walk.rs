//! From the paths on the command line to the files to upload.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use pan123_upload::{Error, ErrorKind};
use tokio::sync::mpsc::{self, Receiver, Sender};
use walkdir::WalkDir;

use crate::{
    destination::{Destination, utf8},
    jobs::{Job, Task},
};

/// Files that are found ahead of their turn.
const AHEAD: usize = 64;

/// The files of a command.
pub(crate) struct Files {
    paths: Vec<PathBuf>,
    /// The name that the only file is to have.
    name: Option<String>,
    destination: Destination,
    many: bool,
}

impl Files {
    /// Looks at the paths, but not yet into directories. Blocks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] when two paths would become one in the drive, or `name` is given for something
    /// else than one file. What is wrong with a single path comes up in its own turn.
    pub(crate) fn new(
        paths: Vec<PathBuf>,
        name: Option<String>,
        destination: Destination,
    ) -> Result<Self, Error> {
        let usage = |message: String| Err(Error::new(ErrorKind::Usage, "check arguments", message));
        let has_directory = paths.iter().any(|path| is_directory(path));
        if name.is_some() && paths.len() > 1 {
            return usage("--name goes with one file, and there are several paths".to_owned());
        }
        if name.is_some() && has_directory {
            return usage(format!("--name goes with a file, and {} is a directory", paths[0].display()));
        }
        let mut names = HashMap::new();
        for path in &paths {
            let Some(name) = path.file_name() else { continue };
            if let Some(other) = names.insert(name, path) {
                let (name, path) = (name.display(), path.display());
                return usage(format!("{} and {path} would both be {name} in the drive", other.display()));
            }
        }
        let many = paths.len() > 1 || has_directory;
        Ok(Self { paths, name, destination, many })
    }

    /// There may be more than one file.
    pub(crate) fn are_many(&self) -> bool {
        self.many
    }

    /// The only file that there is, if it is the only one for sure.
    pub(crate) fn only_one(&self) -> Option<PathBuf> {
        self.paths.first().filter(|_| !self.many).cloned()
    }

    /// Finds the files, on a thread of its own, as fast as they are taken.
    pub(crate) fn find(self) -> Receiver<Job> {
        let (jobs, found) = mpsc::channel(AHEAD);
        std::thread::spawn(move || self.send(&jobs));
        found
    }

    /// Ends early when nobody takes jobs any more.
    fn send(self, jobs: &Sender<Job>) {
        for path in &self.paths {
            let taken = if is_directory(path) {
                self.directory(path, jobs)
            } else {
                give(jobs, path, self.file(path))
            };
            if taken.is_none() {
                return;
            }
        }
    }

    fn file(&self, path: &Path) -> Result<pan123_upload::Target, Error> {
        let name = match (&self.name, path.file_name()) {
            (Some(name), _) => name,
            (None, Some(name)) => utf8(name, path)?,
            (None, None) => {
                let message = format!("{} has no name of its own", path.display());
                return Err(Error::new(ErrorKind::Source, "name file", message)
                    .with_advice("Give it a name in the drive with --name."));
            }
        };
        Ok(self.destination.target(&[name]))
    }

    /// The files below a directory go below a folder of its name; those of `.` go where it would go.
    fn directory(&self, root: &Path, jobs: &Sender<Job>) -> Option<()> {
        let mut is_empty = true;
        for entry in WalkDir::new(root).min_depth(1).sort_by_file_name() {
            let (path, target) = match entry {
                Ok(entry) if entry.file_type().is_dir() => continue,
                Ok(entry) if entry.path_is_symlink() => {
                    let message = format!("{} is a symbolic link", entry.path().display());
                    let advice = "Links inside a directory are not followed: name it on the command line.";
                    let error = Error::new(ErrorKind::Source, "open source", message).with_advice(advice);
                    (entry.into_path(), Err(error))
                }
                Ok(entry) => {
                    let target = self.below(root, entry.path());
                    (entry.into_path(), target)
                }
                Err(error) => {
                    let path = error.path().unwrap_or(root).to_owned();
                    let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                    let message = format!("{}: {reason}", path.display());
                    let advice = "Make it readable, or leave it out.";
                    (path, Err(Error::new(ErrorKind::Source, "read directory", message).with_advice(advice)))
                }
            };
            is_empty = false;
            give(jobs, &path, target)?;
        }
        if is_empty {
            let message = format!("there is no file in {}", root.display());
            let error = Error::new(ErrorKind::Source, "read directory", message);
            give(jobs, root, Err(error.with_advice("Name a file, or a directory with files in it.")))?;
        }
        Some(())
    }

    fn below(&self, root: &Path, path: &Path) -> Result<pan123_upload::Target, Error> {
        let relative = path.strip_prefix(root).unwrap_or(path);
        let parts = root.file_name().into_iter().chain(relative.iter());
        let parts = parts.map(|part| utf8(part, path)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.destination.target(&parts))
    }
}

fn give(jobs: &Sender<Job>, path: &Path, target: Result<pan123_upload::Target, Error>) -> Option<()> {
    jobs.blocking_send(Job { path: path.to_owned(), task: target.map(Task::Upload) }).ok()
}

/// A path that cannot be looked at is taken for a file, whose turn will tell what is wrong with it.
fn is_directory(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_dir())
}
