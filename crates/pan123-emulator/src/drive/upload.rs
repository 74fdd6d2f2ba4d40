//! Uploads in slices, from `create` to `upload_complete`.

use std::{
    fs::{self, File},
    io,
    num::NonZeroU64,
    sync::{Arc, PoisonError},
};

use jiff::Timestamp;
use md5::{Digest, Md5};
use pan123_proto::SlicePlan;

use super::{
    Drive, Node, Record, UploadRecord, hex, positioned,
    state::{End, Gate, State, Upload},
    tree::Target,
    whole::Whole,
    writer::{Scratch, Sink, SliceWriter},
};
use crate::reply::Refusal;

/// A slice that may be written.
pub(crate) struct Begun {
    pub(crate) writer: SliceWriter,
    /// It is stored already.
    pub(crate) is_duplicate: bool,
}

/// Where an upload stands when `upload_complete` asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Completion {
    /// It is this file.
    Done(i64),
    /// The check was interrupted, or a slice came in between: ask again.
    Pending,
}

/// Where the slices of an upload are.
enum Slices {
    /// All in the part file.
    Stored(Arc<Whole>),
    /// In this file.
    Moved(i64),
}

fn unknown() -> Refusal {
    Refusal::bad("preuploadID不存在或已过期")
}

impl Drive {
    /// `create`: a new upload.
    pub(crate) fn begin(
        &self,
        target: &Target,
        etag: &str,
        size: u64,
        slice_size: u64,
    ) -> Result<String, Refusal> {
        let plan = NonZeroU64::new(slice_size).and_then(|slice_size| SlicePlan::new(size, slice_size));
        plan.ok_or_else(|| Refusal::bad("size除以sliceSize的分片数过多"))?;
        let record = UploadRecord {
            id: format!("{:032x}", fastrand::u128(..)),
            parent: target.parent,
            name: target.name.clone(),
            duplicate: target.duplicate,
            etag: etag.to_owned(),
            size,
            slice_size,
            created_ms: Timestamp::now().as_millisecond(),
        };
        let id = record.id.clone();
        self.commit(&mut self.state(), Record::Upload(record))?;
        Ok(id)
    }

    /// What `create` was told, if the upload is known.
    pub(crate) fn upload(&self, id: &str) -> Option<UploadRecord> {
        self.state().uploads.get(id).map(|upload| upload.record.clone())
    }

    /// Forgets an upload and its slices.
    pub(crate) fn forget(&self, id: &str) -> Result<(), Refusal> {
        let mut state = self.state();
        if state.uploads.contains_key(id) {
            self.commit(&mut state, Record::Forget { upload: id.to_owned() })?;
            let _ = fs::remove_file(self.part_path(id));
        }
        Ok(())
    }

    pub(super) fn open_part(&self, upload: &mut Upload) -> io::Result<Arc<File>> {
        if let Some(part) = &upload.part {
            return Ok(part.clone());
        }
        let path = self.part_path(&upload.record.id);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        // Sparse until the slices come, so that each can go to its place.
        file.set_len(upload.record.size)?;
        let part = Arc::new(file);
        upload.part = Some(part.clone());
        Ok(part)
    }

    /// A slice's fields are known and its bytes are about to come.
    pub(crate) fn begin_slice(
        self: &Arc<Self>,
        id: &str,
        no: u32,
        is_checked: bool,
    ) -> Result<Begun, Refusal> {
        let mut state = self.state();
        let upload = state.uploads.get_mut(id).ok_or_else(unknown)?;
        match upload.end {
            End::Open => {}
            End::Done(_) => return Err(Refusal::bad("该文件已上传完成")),
            End::Failed => return Err(Refusal::upload_failed()),
        }
        let count = upload.plan.count();
        let slice =
            upload.plan.slice(no).ok_or_else(|| Refusal::bad(format!("sliceNo应为1到{count}，收到{no}")))?;
        let is_duplicate = upload.done.contains_key(&no);
        let sink = if !self.keep_bytes {
            Sink::Nowhere
        } else if is_duplicate || upload.writing.contains_key(&no) {
            self.scratch()?.map_or(Sink::Nowhere, Sink::Aside)
        } else {
            let part = self.open_part(upload).map_err(|error| Refusal::internal("open part file", error))?;
            let gate = Gate::default();
            upload.writing.insert(no, gate.clone());
            Sink::Place { part, gate }
        };
        let writer = SliceWriter {
            upload: id.to_owned(),
            no,
            offset: slice.offset,
            len: slice.len,
            written: 0,
            md5: is_checked.then(Md5::new),
            sink,
            drive: self.clone(),
        };
        Ok(Begun { writer, is_duplicate })
    }

    pub(super) fn leave_slice(&self, id: &str, no: u32, gate: &Gate) {
        if let Some(upload) = self.state().uploads.get_mut(id)
            && upload.writing.get(&no).is_some_and(|held| Arc::ptr_eq(held, gate))
        {
            upload.writing.remove(&no);
        }
    }

    /// All bytes of a slice came: checks them, and writes down that the slice is there.
    pub(crate) fn end_slice(&self, mut writer: SliceWriter, declared: &str) -> Result<(), Refusal> {
        let md5 = writer.check(declared)?;
        let (id, no) = (writer.upload.clone(), writer.no);
        if let Sink::Aside(scratch) = &writer.sink {
            self.bring_in(&writer, scratch, &md5)?;
        }
        let mut state = self.state();
        let upload = state.uploads.get_mut(&id).ok_or_else(unknown)?;
        if upload.end != End::Open || upload.done.get(&no) == Some(&md5) {
            return Ok(());
        }
        self.commit(&mut state, Record::Slice { upload: id, no, md5 })
    }

    /// A copy that was kept aside is good. It replaces what is in its place, unless that is the same.
    fn bring_in(&self, writer: &SliceWriter, scratch: &Scratch, md5: &str) -> Result<(), Refusal> {
        let (id, no) = (&writer.upload, writer.no);
        let part = {
            let mut state = self.state();
            let upload = state.uploads.get_mut(id).ok_or_else(unknown)?;
            match upload.done.get(&no) {
                _ if upload.end != End::Open => return Ok(()),
                Some(stored) if stored == md5 => return Ok(()),
                Some(_) => self.commit(&mut state, Record::Unslice { upload: id.clone(), no })?,
                None => {}
            }
            let upload = state.uploads.get_mut(id).ok_or_else(unknown)?;
            // Whoever is writing in place must not damage the good copy.
            if let Some(gate) = upload.writing.remove(&no) {
                *gate.lock().unwrap_or_else(PoisonError::into_inner) = true;
            }
            self.open_part(upload).map_err(|error| Refusal::internal("open part file", error))?
        };
        let mut at = writer.offset;
        let copied = scratch.replay(|bytes| {
            positioned::write_all_at(&part, bytes, at)?;
            at += bytes.len() as u64;
            Ok(())
        });
        copied.map_err(|error| Refusal::internal("write slice", error))
    }

    /// Hashes as far as slices are there.
    pub(crate) fn follow(&self, id: &str) {
        let whole = self.state().uploads.get(id).map(|upload| upload.whole.clone());
        if let Some(whole) = whole {
            whole.follow(self, id);
        }
    }

    /// Changes one stored byte.
    pub(crate) fn corrupt(&self, id: &str, no: u32, offset: u64) -> io::Result<()> {
        let Some((part, slice)) = self.stored_slice(id, no)? else { return Ok(()) };
        if slice.len == 0 {
            return Ok(());
        }
        let at = slice.offset + offset % slice.len;
        let mut byte = [0];
        positioned::read_exact_at(&part, &mut byte, at)?;
        positioned::write_all_at(&part, &[!byte[0]], at)
    }

    /// `upload_complete`: checks the whole file and puts it in its place. Takes as long as the MD5 does.
    pub(crate) fn complete(&self, id: &str) -> Result<Completion, Refusal> {
        let whole = match self.check_slices(id)? {
            Slices::Moved(file) => return Ok(Completion::Done(file)),
            Slices::Stored(whole) => whole,
        };
        let digest = if self.keep_bytes {
            let digest =
                whole.finish(self, id).map_err(|error| Refusal::internal("read part file", error))?;
            let Some(digest) = digest else { return Ok(Completion::Pending) };
            Some(hex(&digest))
        } else {
            None
        };
        // From here to the end under one lock, so that no slice changes after the check.
        let mut state = self.state();
        let upload = state.uploads.get(id).ok_or_else(unknown)?;
        match upload.end {
            End::Done(file) => return Ok(Completion::Done(file)),
            End::Failed => return Err(Refusal::upload_failed()),
            End::Open if !Arc::ptr_eq(&upload.whole, &whole) => return Ok(Completion::Pending),
            End::Open => {}
        }
        if digest.is_some_and(|digest| digest != upload.record.etag) {
            self.commit(&mut state, Record::Failed { upload: id.to_owned() })?;
            let _ = fs::remove_file(self.part_path(id));
            return Err(Refusal::upload_failed());
        }
        self.put_in_place(&mut state, id).map(Completion::Done)
    }

    /// Whether all slices are there, or have become a file.
    fn check_slices(&self, id: &str) -> Result<Slices, Refusal> {
        let state = self.state();
        let upload = state.uploads.get(id).ok_or_else(unknown)?;
        match upload.end {
            End::Done(file) => return Ok(Slices::Moved(file)),
            End::Failed => return Err(Refusal::upload_failed()),
            End::Open => {}
        }
        let missing = |no: &u32| !upload.done.contains_key(no);
        // An empty file needs no slice.
        match (1..=upload.plan.count()).find(missing) {
            Some(first) if upload.record.size > 0 => {
                let count = upload.plan.count() as usize - upload.done.len();
                Err(Refusal::bad(format!("分片未全部上传: 缺{count}个，第一个是{first}")))
            }
            _ => Ok(Slices::Stored(upload.whole.clone())),
        }
    }

    /// Fails an upload for good, as a failed check does.
    pub(crate) fn fail(&self, id: &str) -> Result<(), Refusal> {
        let mut state = self.state();
        if state.uploads.get(id).is_some_and(|upload| upload.end == End::Open) {
            self.commit(&mut state, Record::Failed { upload: id.to_owned() })?;
            let _ = fs::remove_file(self.part_path(id));
        }
        Ok(())
    }

    fn put_in_place(&self, state: &mut State, id: &str) -> Result<i64, Refusal> {
        let upload = state.uploads.get_mut(id).ok_or_else(unknown)?;
        let record = upload.record.clone();
        if self.keep_bytes {
            // An empty file has had no slice to make its part file.
            self.open_part(upload).map_err(|error| Refusal::internal("open part file", error))?;
        }
        let target = Target { parent: record.parent, name: record.name, duplicate: record.duplicate };
        let place = self.place(state, &target)?;
        let file = state.new_id();
        let node = Node {
            upload: Some(id.to_owned()),
            replaces: place.replaces,
            ..self.new_node(file, record.parent, &place.name, record.size, &record.etag)
        };
        self.settle(state, node)
    }

    /// `single/create`: all bytes of a file came at once.
    pub(crate) fn store(
        &self,
        target: &Target,
        etag: &str,
        size: u64,
        bytes: Option<Scratch>,
    ) -> Result<i64, Refusal> {
        let mut state = self.state();
        let place = self.place(&state, target)?;
        let id = state.new_id();
        let mut node =
            Node { replaces: place.replaces, ..self.new_node(id, target.parent, &place.name, size, etag) };
        node.upload = bytes.as_ref().map(|scratch| scratch.name().to_owned());
        self.settle(&mut state, node)
    }
}
