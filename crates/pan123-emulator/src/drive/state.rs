//! The drive in memory: what the index lines add up to. No files are touched here.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    num::NonZeroU64,
    sync::{Arc, Mutex},
};

use pan123_proto::SlicePlan;

use super::{
    index::{Node, Record, UploadRecord},
    whole::Whole,
};

/// Id of the root folder, which has no entry.
pub(crate) const ROOT: i64 = 0;

/// Everything the drive knows.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) nodes: BTreeMap<i64, Node>,
    names: HashMap<(i64, String), i64>,
    children: BTreeSet<(i64, i64)>,
    contents: HashMap<(String, u64), BTreeSet<i64>>,
    pub(super) uploads: HashMap<String, Upload>,
    pub(super) used: u64,
    next_id: i64,
}

/// One upload between `create` and `upload_complete`, and the memory of it after.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) record: UploadRecord,
    pub(super) plan: SlicePlan,
    /// MD5 of each slice that is stored.
    pub(super) done: BTreeMap<u32, String>,
    /// Slices that somebody is writing in place, each with its gate.
    pub(super) writing: HashMap<u32, Gate>,
    pub(super) end: End,
    pub(super) part: Option<Arc<File>>,
    pub(super) whole: Arc<Whole>,
}

/// Held for each piece that is written in place; true once another copy of the slice won.
pub(super) type Gate = Arc<Mutex<bool>>;

/// How an upload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Open,
    /// Became this file.
    Done(i64),
    /// The whole-file check failed.
    Failed,
}

impl State {
    /// Takes one line of the index in.
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::Node(node) => self.add(node),
            Record::Sha1 { id, sha1 } => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.sha1 = Some(sha1);
                }
            }
            Record::Remove { id } => {
                let upload = self.nodes.get(&id).and_then(|node| node.upload.clone());
                if let Some(upload) = upload.and_then(|upload| self.uploads.get_mut(&upload)) {
                    upload.end = End::Open;
                }
                self.remove(id);
            }
            Record::Upload(record) => self.add_upload(record),
            Record::Slice { upload, no, md5 } => {
                if let Some(upload) = self.uploads.get_mut(&upload) {
                    upload.done.insert(no, md5);
                }
            }
            Record::Unslice { upload, no } => {
                if let Some(upload) = self.uploads.get_mut(&upload) {
                    upload.done.remove(&no);
                    upload.whole = Arc::default();
                }
            }
            Record::Failed { upload } => {
                if let Some(upload) = self.uploads.get_mut(&upload) {
                    upload.end = End::Failed;
                    upload.part = None;
                }
            }
            Record::Forget { upload } => {
                self.uploads.remove(&upload);
            }
            Record::Token { .. } | Record::Revoke { .. } => {}
        }
    }

    fn add(&mut self, node: Node) {
        if let Some(old) = node.replaces {
            self.remove(old);
        }
        if let Some(upload) = node.upload.as_ref().and_then(|id| self.uploads.get_mut(id)) {
            upload.end = End::Done(node.id);
            upload.part = None;
            upload.whole = Arc::default();
        }
        self.next_id = self.next_id.max(node.id + 1);
        self.names.insert((node.parent, node.name.clone()), node.id);
        self.children.insert((node.parent, node.id));
        if !node.is_folder {
            self.contents.entry((node.etag.clone(), node.size)).or_default().insert(node.id);
            self.used += node.size;
        }
        self.nodes.insert(node.id, node);
    }

    pub(super) fn remove(&mut self, id: i64) {
        let Some(node) = self.nodes.remove(&id) else { return };
        self.names.remove(&(node.parent, node.name));
        self.children.remove(&(node.parent, id));
        if !node.is_folder {
            self.used -= node.size;
            if let Some(ids) = self.contents.get_mut(&(node.etag, node.size)) {
                ids.remove(&id);
            }
        }
    }

    fn add_upload(&mut self, record: UploadRecord) {
        let plan = NonZeroU64::new(record.slice_size).and_then(|size| SlicePlan::new(record.size, size));
        let Some(plan) = plan else { return };
        let upload = Upload {
            plan,
            done: BTreeMap::new(),
            writing: HashMap::new(),
            end: End::Open,
            part: None,
            whole: Arc::default(),
            record,
        };
        self.uploads.insert(upload.record.id.clone(), upload);
    }

    /// A new id. Like those of the service they are large and grow.
    pub(super) fn new_id(&mut self) -> i64 {
        self.next_id = self.next_id.max(10_000_001);
        self.next_id += 1;
        self.next_id - 1
    }

    pub(super) fn is_folder(&self, id: i64) -> bool {
        id == ROOT || self.nodes.get(&id).is_some_and(|node| node.is_folder)
    }

    pub(super) fn child(&self, parent: i64, name: &str) -> Option<&Node> {
        self.names.get(&(parent, name.to_owned())).and_then(|id| self.nodes.get(id))
    }

    /// Children of a folder with ids above `after`, by id.
    pub(super) fn children(&self, parent: i64, after: i64) -> impl Iterator<Item = &Node> {
        let ids = self.children.range((parent, after.saturating_add(1))..=(parent, i64::MAX));
        ids.filter_map(|(_, id)| self.nodes.get(id))
    }

    /// Files of this etag and size.
    pub(super) fn same_content(&self, etag: &str, size: u64) -> impl Iterator<Item = &Node> {
        let ids = self.contents.get(&(etag.to_owned(), size)).into_iter().flatten();
        ids.filter_map(|id| self.nodes.get(id))
    }

    /// Names from the root down to `id`. `None` if it hangs in the air.
    pub(super) fn path(&self, id: i64) -> Option<Vec<&str>> {
        let mut names = Vec::new();
        let mut id = id;
        while id != ROOT {
            let node = self.nodes.get(&id)?;
            // A parent is always older than its child, so this ends.
            if node.parent >= id {
                return None;
            }
            names.push(node.name.as_str());
            id = node.parent;
        }
        names.reverse();
        Some(names)
    }

    /// The shortest list of lines that gives this state.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        // An upload whose file is gone has nothing left to tell.
        let is_told =
            |upload: &&Upload| !matches!(upload.end, End::Done(id) if !self.nodes.contains_key(&id));
        for upload in self.uploads.values().filter(is_told) {
            records.push(Record::Upload(upload.record.clone()));
            let id = &upload.record.id;
            match upload.end {
                End::Open => records.extend(upload.done.iter().map(|(&no, md5)| Record::Slice {
                    upload: id.clone(),
                    no,
                    md5: md5.clone(),
                })),
                End::Failed => records.push(Record::Failed { upload: id.clone() }),
                End::Done(_) => {}
            }
        }
        records.extend(self.nodes.values().map(|node| Record::Node(Node { replaces: None, ..node.clone() })));
        records
    }
}
