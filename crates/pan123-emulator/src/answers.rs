//! The answers that faults order, and the last touches to every answer.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    faults::{Action, Behaviour, Garbage},
    reply::{Content, Refusal, Reply},
};

/// Keys that carry ids.
const ID_KEYS: [&str; 7] = ["fileID", "fileId", "dirID", "parentFileID", "parentFileId", "lastFileId", "uid"];

impl Reply {
    /// The answer that an action orders. Those that order none never come here.
    pub(crate) fn from_action(action: &Action) -> Self {
        let refuse = |refusal: Refusal, http: bool, retry_after: &Option<String>| {
            let status = if http { u16::try_from(refusal.code).unwrap_or(200) } else { 200 };
            Self { status, ..refusal.into() }.retry_after(retry_after)
        };
        match action {
            Action::Status { status, body, retry_after } => {
                Self::raw(*status, "text/plain; charset=utf-8", body.clone()).retry_after(retry_after)
            }
            Action::Code { code, message, data, status, retry_after } => {
                Self::envelope(*status, *code, message, data.clone()).retry_after(retry_after)
            }
            Action::Garbage(kind) => garbage(*kind),
            Action::Redirect { location, status } => Self::empty(*status).header("location", location),
            Action::Unauthorized { http } => refuse(Refusal::unauthorized("token is expired"), *http, &None),
            Action::Throttled { http, retry_after } => refuse(Refusal::throttled(), *http, retry_after),
            Action::Pending => Refusal::pending().into(),
            Action::Unfinished => Self::ok(json!({"completed": false, "fileID": 0})),
            Action::QueueBusy => {
                let message = "该任务已成功进入秒传队列,任务队列削峰中,未直接获取到文件ID,请慢一点";
                Refusal::bad(message).into()
            }
            Action::ReuseZero => {
                Self::ok(json!({"reuse": true, "fileID": 0, "preuploadID": "", "sliceSize": 0}))
            }
            _ => Self::empty(200),
        }
    }

    fn retry_after(self, value: &Option<String>) -> Self {
        match value {
            Some(value) => self.header("retry-after", value),
            None => self,
        }
    }

    /// Bends a regular answer to the standing behaviour.
    pub(crate) fn bend(mut self, behaviour: &Behaviour, ids_as_strings: bool) -> Self {
        if let Content::Envelope { code, data, .. } = &mut self.content {
            if behaviour.refusals_as_http && matches!(code, 401 | 429) && self.status == 200 {
                self.status = u16::try_from(*code).unwrap_or(200);
            }
            if ids_as_strings || behaviour.ids_as_strings {
                stringify_ids(data);
            }
        }
        self
    }
}

fn stringify_ids(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::Number(number) if ID_KEYS.contains(&key.as_str()) => {
                        *value = number.to_string().into()
                    }
                    value => stringify_ids(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(stringify_ids),
        _ => {}
    }
}

fn garbage(kind: Garbage) -> Reply {
    let json = "application/json; charset=utf-8";
    match kind {
        Garbage::Html => {
            Reply::raw(200, "text/html", "<html><body><h1>Welcome to the captive portal</h1></body></html>")
        }
        Garbage::Truncated => Reply::raw(200, json, r#"{"code":0,"message":"ok","data":{"reu"#),
        Garbage::NoCode => {
            Reply::raw(200, json, r#"{"message":"ok","data":{"completed":true,"fileID":1,"reuse":true}}"#)
        }
        Garbage::Nested => Reply::raw(200, json, "[".repeat(100_000) + &"]".repeat(100_000)),
        Garbage::Huge => Reply::envelope(200, 0, "x".repeat(16 << 20), Value::Null),
        Garbage::Binary => Reply::raw(200, json, Bytes::from_static(b"\xff\xfe\x00{\"code\":0}\x80")),
        Garbage::WrongTypes => {
            let data = json!({"reuse": "no", "fileID": {}, "preuploadID": 7, "sliceSize": "big", "servers": "none",
                "completed": "maybe", "accessToken": [], "expiredAt": 0, "dirID": null, "fileList": {}});
            Reply::ok(data)
        }
    }
}
