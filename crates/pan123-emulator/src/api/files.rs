//! `mkdir`, `list`, `detail`, `user_info`.

use serde_json::{Value, json};

use super::tokens::local_time;
use crate::{
    drive::{Node, ROOT},
    fields::Fields,
    reply::Refusal,
    service::Service,
};

/// Most entries of one page. Source: the official page of `list`.
const LIST_LIMIT_MAX: usize = 100;
/// What the drive of a free account holds, in bytes.
const SPACE: u64 = 2 << 40;

/// `POST /upload/v1/file/mkdir`
pub(super) fn mkdir(service: &Service, fields: &Fields) -> Result<Value, Refusal> {
    let id = service.drive.mkdir(fields.number("parentID")?, fields.text("name")?)?;
    Ok(json!({"dirID": id}))
}

/// `GET /api/v2/file/list`
pub(super) fn list(service: &Service, fields: &Fields) -> Result<Value, Refusal> {
    let limit: usize = fields.number("limit")?;
    if !(1..=LIST_LIMIT_MAX).contains(&limit) {
        return Err(Refusal::bad("limit应为1到100"));
    }
    let parent = fields.number_or("parentFileId", ROOT)?;
    let after: i64 = fields.number_or("lastFileId", 0)?;
    let search = fields.get("searchData").filter(|text| !text.is_empty());
    if search.is_none() {
        service.drive.check_parent(parent)?;
    }
    let (nodes, last) = service.drive.list(parent, after.max(0), search, limit);
    let files: Vec<Value> = nodes.iter().map(list_entry).collect();
    Ok(json!({"lastFileId": last, "fileList": files}))
}

/// `GET /api/v1/file/detail`
pub(super) fn detail(service: &Service, fields: &Fields) -> Result<Value, Refusal> {
    let node =
        service.drive.node(fields.number("fileID")?).ok_or_else(|| Refusal::new(5066, "文件不存在"))?;
    Ok(json!({
        "fileID": node.id,
        "filename": node.name,
        "type": u8::from(node.is_folder),
        "size": node.size,
        "etag": node.etag,
        "status": 0,
        "parentFileID": node.parent,
        "createAt": local_time(node.created_ms),
        "trashed": 0,
    }))
}

/// `GET /api/v1/user/info`
pub(super) fn user_info(service: &Service) -> Value {
    json!({
        "uid": 1_000_000_001,
        "nickname": "emulator",
        "headImage": "",
        "passport": "",
        "mail": "",
        "spaceUsed": service.drive.used(),
        "spacePermanent": SPACE,
        "spaceTemp": 0,
        "spaceTempExpr": "",
        "vip": false,
        "directTraffic": 0,
        "isHideUID": false,
    })
}

fn list_entry(node: &Node) -> Value {
    json!({
        "fileId": node.id,
        "filename": node.name,
        "parentFileId": node.parent,
        "type": u8::from(node.is_folder),
        "etag": node.etag,
        "size": node.size,
        "category": 0,
        "status": 0,
        "trashed": 0,
        "createAt": local_time(node.created_ms),
        "updateAt": local_time(node.created_ms),
    })
}
