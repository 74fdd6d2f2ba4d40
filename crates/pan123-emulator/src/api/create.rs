//! `create`, `upload_complete` and `sha1_reuse`.

use std::time::Duration;

use jiff::Timestamp;
use pan123_proto::names::FILE_SIZE_MAX;
use serde_json::{Value, json};
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    drive::{Completion, Duplicate, Target, check_name, split_path},
    exchange::Exchange,
    faults::Action,
    fields::Fields,
    reply::{Refusal, Reply},
    service::Service,
};

/// What `create` and `single/create` say of a file.
pub(super) struct Declared {
    pub(super) target: Target,
    pub(super) etag: String,
    pub(super) size: u64,
}

impl Declared {
    /// Reads and checks the fields, and makes the folders of a `containDir` path.
    pub(super) fn read(service: &Service, fields: &Fields) -> Result<Self, Refusal> {
        let etag = digest(fields, "etag", 32)?;
        let size: u64 = fields.number("size")?;
        if size > FILE_SIZE_MAX {
            return Err(Refusal::bad("文件大小超过10GB"));
        }
        let target = target(service, fields)?;
        service.drive.check_place(&target)?;
        Ok(Self { target, etag, size })
    }
}

/// `POST /upload/v2/file/create`
pub(super) fn create(exchange: &Exchange, fields: &Fields) -> Result<Value, Refusal> {
    let service = &exchange.service;
    let Declared { target, etag, size } = Declared::read(service, fields)?;
    if exchange.faults.behaviour.reuse
        && let Some(source) = service.drive.find_content(&etag, size)
    {
        let id = service.drive.copy(source, &target)?;
        return Ok(json!({"fileID": id, "reuse": true, "preuploadID": "", "sliceSize": 0, "servers": []}));
    }
    let ordered = exchange.plan.shapes.iter().find_map(|action| match action {
        Action::SliceSize { bytes } => Some(*bytes),
        _ => None,
    });
    let slice_size = ordered.unwrap_or(service.settings.slice_size);
    let id = service.drive.begin(&target, &etag, size, slice_size)?;
    let announced = exchange.plan.shapes.iter().find_map(|action| match action {
        Action::AnnounceSliceSize { bytes } => Some(json!(bytes)),
        _ => None,
    });
    Ok(json!({
        "fileID": 0,
        "reuse": false,
        "preuploadID": id,
        "sliceSize": announced.unwrap_or(json!(slice_size)),
        "servers": service.servers,
    }))
}

/// `POST /upload/v2/file/upload_complete`
pub(super) async fn complete(exchange: &Exchange, fields: &Fields) -> Result<Reply, Refusal> {
    let id = fields.text("preuploadID")?.to_owned();
    forget_if_old(exchange, &id)?;
    let behaviour = &exchange.faults.behaviour;
    let drive = exchange.service.drive.clone();
    if drive.upload(&id).is_some() {
        if exchange.entry.attempt <= behaviour.complete_pending {
            return Err(Refusal::pending());
        }
        if exchange.entry.attempt <= behaviour.complete_pending.saturating_add(behaviour.complete_unfinished)
        {
            return Ok(Reply::from_action(&Action::Unfinished));
        }
    }
    let check = spawn_blocking(move || drive.complete(&id));
    let patience = Duration::from_millis(behaviour.complete_wait_ms.max(1));
    match timeout(patience, check).await {
        Ok(Ok(Ok(Completion::Done(file)))) => Ok(Reply::ok(json!({"completed": true, "fileID": file}))),
        Ok(Ok(Err(refusal))) => Err(refusal),
        Ok(Err(error)) => Err(Refusal::internal("check file", error)),
        // The check goes on, and a later call finds its result.
        Ok(Ok(Ok(Completion::Pending))) | Err(_) => Err(Refusal::pending()),
    }
}

/// `POST /upload/v2/file/sha1_reuse`
pub(super) async fn sha1_reuse(exchange: &Exchange, fields: &Fields) -> Result<Value, Refusal> {
    let (sha1, size) = (digest(fields, "sha1", 40)?, fields.number("size")?);
    let target = target(&exchange.service, fields)?;
    exchange.service.drive.check_place(&target)?;
    let drive = exchange.service.drive.clone();
    let found = spawn_blocking(move || drive.find_sha1(&sha1, size)).await;
    match found.map_err(|error| Refusal::internal("look up SHA-1", error))? {
        Some(source) => Ok(json!({"reuse": true, "fileID": exchange.service.drive.copy(source, &target)?})),
        None => Ok(json!({"reuse": false, "fileID": 0})),
    }
}

/// Forgets an upload that is older than the standing behaviour lets it get.
pub(super) fn forget_if_old(exchange: &Exchange, id: &str) -> Result<(), Refusal> {
    let lifetime = i64::try_from(exchange.faults.behaviour.upload_lifetime_ms).unwrap_or(i64::MAX);
    let now = Timestamp::now().as_millisecond();
    match exchange.service.drive.upload(id) {
        Some(upload) if lifetime > 0 && now - upload.created_ms > lifetime => {
            exchange.service.drive.forget(id)
        }
        _ => Ok(()),
    }
}

/// Where a file shall go.
fn target(service: &Service, fields: &Fields) -> Result<Target, Refusal> {
    let duplicate = match fields.number_or("duplicate", 0)? {
        0 => Duplicate::Refuse,
        1 => Duplicate::KeepBoth,
        2 => Duplicate::Overwrite,
        other => return Err(Refusal::bad(format!("duplicate应为1或2，收到{other}"))),
    };
    let parent = fields.number("parentFileID")?;
    let filename = fields.text("filename")?;
    if !fields.flag("containDir")? {
        check_name(filename)?;
        service.drive.check_parent(parent)?;
        return Ok(Target { parent, name: filename.to_owned(), duplicate });
    }
    let (folders, name) = split_path(filename)?;
    Ok(Target { parent: service.drive.make_path(parent, &folders)?, name: name.to_owned(), duplicate })
}

/// A digest in lower-case hex. Upper case is refused: the service takes it for another content, and the
/// upload would fail at its very end.
fn digest(fields: &Fields, name: &str, len: usize) -> Result<String, Refusal> {
    let text = fields.text(name)?;
    let is_lower_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() == len && is_lower_hex {
        return Ok(text.to_owned());
    }
    Err(Refusal::bad(format!("{name}应为{len}位小写十六进制")))
}
