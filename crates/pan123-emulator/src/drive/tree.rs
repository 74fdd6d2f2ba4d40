//! Files and folders: looking up, listing, making folders, placing files.

use std::{fs, io, path::Path};

use jiff::Timestamp;
use sha1::{Digest, Sha1};

use super::{Drive, Duplicate, Node, Record, hex, names, state::State};
use crate::reply::Refusal;

/// Where a file shall go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) parent: i64,
    pub(crate) name: String,
    pub(crate) duplicate: Duplicate,
}

/// A free place for a file.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) replaces: Option<i64>,
}

impl Drive {
    /// Checks that a folder exists.
    pub(crate) fn check_parent(&self, parent: i64) -> Result<(), Refusal> {
        if self.state().is_folder(parent) { Ok(()) } else { Err(Refusal::bad("parentFileID不存在")) }
    }

    /// One file or folder.
    pub(crate) fn node(&self, id: i64) -> Option<Node> {
        self.state().nodes.get(&id).cloned()
    }

    /// Bytes of all files.
    pub(crate) fn used(&self) -> u64 {
        self.state().used
    }

    /// Children of a folder with ids above `after` whose name contains `search`, at most `limit`, by id.
    /// Also the id to go on from, or -1.
    pub(crate) fn list(
        &self,
        parent: i64,
        after: i64,
        search: Option<&str>,
        limit: usize,
    ) -> (Vec<Node>, i64) {
        let state = self.state();
        let everywhere = search.is_some();
        let matches = |node: &&Node| search.is_none_or(|text| node.name.contains(text));
        let mut found: Vec<Node> = if everywhere {
            let above = state.nodes.range(after.saturating_add(1)..).map(|(_, node)| node);
            above.filter(matches).take(limit + 1).cloned().collect()
        } else {
            state.children(parent, after).take(limit + 1).cloned().collect()
        };
        let is_last = found.len() <= limit;
        found.truncate(limit);
        let last = found.last().map_or(-1, |node| node.id);
        (found, if is_last { -1 } else { last })
    }

    /// Makes one folder.
    pub(crate) fn mkdir(&self, parent: i64, name: &str) -> Result<i64, Refusal> {
        names::check_name(name)?;
        self.check_parent(parent)?;
        let mut state = self.state();
        if state.child(parent, name).is_some() {
            return Err(Refusal::bad("该目录下已经有同名文件夹,无法进行创建"));
        }
        self.add_folder(&mut state, parent, name)
    }

    /// Makes the folders of a path that are missing, and gives the last one.
    pub(crate) fn make_path(&self, parent: i64, folders: &[&str]) -> Result<i64, Refusal> {
        self.check_parent(parent)?;
        let mut state = self.state();
        folders.iter().try_fold(parent, |parent, name| match state.child(parent, name) {
            Some(node) if node.is_folder => Ok(node.id),
            Some(_) => Err(Refusal::bad(format!("{name}是文件，不是文件夹"))),
            None => self.add_folder(&mut state, parent, name),
        })
    }

    fn add_folder(&self, state: &mut State, parent: i64, name: &str) -> Result<i64, Refusal> {
        let id = state.new_id();
        let folder = Node { is_folder: true, ..self.new_node(id, parent, name, 0, "") };
        let path = self.disk_path(state, parent).unwrap_or_default().join(names::disk_name(name));
        match fs::create_dir(&path) {
            // A folder that somebody made by hand is taken in.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            result => result.map_err(|error| Refusal::internal("make folder", error))?,
        }
        self.commit(state, Record::Node(folder))?;
        Ok(id)
    }

    /// A stored file of this content whose bytes are really there.
    pub(crate) fn find_content(&self, etag: &str, size: u64) -> Option<i64> {
        let state = self.state();
        let is_there = |node: &&Node| {
            let len = || {
                self.disk_path(&state, node.id).and_then(|path| fs::metadata(path).ok()).map(|it| it.len())
            };
            if self.keep_bytes { node.kept && len() == Some(size) } else { true }
        };
        state.same_content(etag, size).find(is_there).map(|node| node.id)
    }

    /// A stored file of this size and SHA-1. Reads each candidate once; the digest is kept.
    pub(crate) fn find_sha1(&self, sha1: &str, size: u64) -> Option<i64> {
        let candidates: Vec<Node> = {
            let state = self.state();
            state
                .nodes
                .values()
                .filter(|node| node.kept && !node.is_folder && node.size == size)
                .cloned()
                .collect()
        };
        candidates.into_iter().find_map(|node| {
            let known = match node.sha1 {
                Some(known) => known,
                None => {
                    let path = self.disk_path(&self.state(), node.id)?;
                    let fresh = file_sha1(&path).ok()?;
                    self.commit(&mut self.state(), Record::Sha1 { id: node.id, sha1: fresh.clone() }).ok()?;
                    fresh
                }
            };
            (known == sha1).then_some(node.id)
        })
    }

    /// Checks that a file may go to `target` before any byte is sent.
    pub(crate) fn check_place(&self, target: &Target) -> Result<(), Refusal> {
        self.check_parent(target.parent)?;
        self.place(&self.state(), target).map(|_| ())
    }

    /// Finds the name under which a file goes to `target`.
    pub(super) fn place(&self, state: &State, target: &Target) -> Result<Place, Refusal> {
        if !state.is_folder(target.parent) {
            return Err(Refusal::bad("parentFileID不存在"));
        }
        let folder = self.disk_path(state, target.parent).unwrap_or_default();
        // Files that the index does not know, made by hand, are not overwritten either.
        let is_taken = |name: &str| {
            state.child(target.parent, name).is_some() || folder.join(names::disk_name(name)).exists()
        };
        let name = target.name.clone();
        if !is_taken(&name) {
            return Ok(Place { name, replaces: None });
        }
        match (target.duplicate, state.child(target.parent, &name)) {
            (Duplicate::KeepBoth, _) => {
                let free = (1..).map(|number| names::numbered(&name, number)).find(|name| !is_taken(name));
                Ok(Place { name: free.unwrap_or(name), replaces: None })
            }
            (Duplicate::Overwrite, Some(node)) if !node.is_folder => {
                Ok(Place { name, replaces: Some(node.id) })
            }
            _ => Err(Refusal::bad("该目录下已经有同名文件")),
        }
    }

    /// Instant upload: a new file with the content of a stored one.
    pub(crate) fn copy(&self, source: i64, target: &Target) -> Result<i64, Refusal> {
        let mut state = self.state();
        let place = self.place(&state, target)?;
        let found = state.nodes.get(&source).cloned().ok_or_else(|| Refusal::bad("文件不存在"))?;
        let id = state.new_id();
        let mut node = Node {
            kept: found.kept,
            replaces: place.replaces,
            sha1: found.sha1.clone(),
            ..self.new_node(id, target.parent, &place.name, found.size, &found.etag)
        };
        if node.kept {
            let from = self.disk_path(&state, source).unwrap_or_default();
            let name = format!("link-{:032x}", fastrand::u128(..));
            let part = self.part_path(&name);
            fs::hard_link(&from, &part)
                .or_else(|_| fs::copy(&from, &part).map(|_| ()))
                .map_err(|error| Refusal::internal("link file", error))?;
            node.upload = Some(name);
        }
        self.settle(&mut state, node)
    }

    /// Writes a new file down and moves its bytes from `parts/` into place, in this order: after a kill in
    /// between, the next start finishes the move.
    pub(super) fn settle(&self, state: &mut State, node: Node) -> Result<i64, Refusal> {
        let id = node.id;
        let folder = self.disk_path(state, node.parent).unwrap_or_default();
        let path = folder.join(names::disk_name(&node.name));
        let part = node.upload.as_ref().filter(|_| node.kept).map(|name| self.part_path(name));
        let replaced = node.replaces.and_then(|id| state.nodes.get(&id).cloned());
        self.commit(state, Record::Node(node))?;
        let Some(part) = part else { return Ok(id) };
        if let Err(error) = fs::rename(&part, &path) {
            self.commit(state, Record::Remove { id })?;
            if let Some(replaced) = replaced {
                self.commit(state, Record::Node(Node { replaces: None, upload: None, ..replaced }))?;
            }
            return Err(Refusal::internal("move finished file", error));
        }
        // Two names of one file are both left by the rename.
        let _ = fs::remove_file(&part);
        Ok(id)
    }

    pub(super) fn new_node(&self, id: i64, parent: i64, name: &str, size: u64, etag: &str) -> Node {
        Node {
            id,
            parent,
            name: name.to_owned(),
            is_folder: false,
            size,
            etag: etag.to_owned(),
            created_ms: Timestamp::now().as_millisecond(),
            kept: self.keep_bytes,
            upload: None,
            replaces: None,
            sha1: None,
        }
    }
}

fn file_sha1(path: &Path) -> io::Result<String> {
    let mut hasher = Sha1::new();
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}
