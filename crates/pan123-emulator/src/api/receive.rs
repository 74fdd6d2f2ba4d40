//! The two calls that carry a file: `slice` and `single/create`.
//!
//! Bytes are written and hashed as they come, piece by piece, on the thread that read them: a piece is at most
//! half a megabyte, which is less work than handing it to another thread is worth.

use bytes::Bytes;
use md5::{Digest, Md5};
use pan123_proto::Endpoint;
use serde_json::{Value, json};

use super::create::{Declared, forget_if_old};
use crate::{
    drive::{Begun, Scratch, hex},
    exchange::{Exchange, Stop},
    faults::{Action, At, DuplicateSlices, SliceAnswer},
    fields::Fields,
    multipart::{Event, MultipartError, Reader},
    receive::Body,
    reply::{Refusal, Reply},
    route::shape_body,
};

/// Longest text field beside a file, in bytes.
const FIELD_LEN_MAX: usize = 64 << 10;
/// Largest file of `single/create`, in bytes. Source: its official page, "1GB"; taken as
/// binary, the wider reading, since nobody knows.
const SINGLE_SIZE_MAX: u64 = 1 << 30;

/// What takes the bytes of the file part.
trait Taker {
    /// Name of the file part.
    const PART: &'static str;

    /// The file part begins; `fields` came before it.
    fn begin(&mut self, exchange: &mut Exchange, fields: &Fields) -> Result<(), Stop>;

    /// Takes bytes. What fails is told at the end.
    fn take(&mut self, bytes: &[u8]);
}

/// `POST {server}/upload/v2/file/slice`
pub(crate) async fn slice(exchange: &mut Exchange, body: &mut Body) -> Result<Reply, Stop> {
    let mut taker = SliceTaker::default();
    let fields = receive(exchange, body, &mut taker).await?;
    if !taker.is_known {
        taker.know(exchange, &fields)?;
        exchange.strike(At::Early)?;
    }
    exchange.strike(At::Body)?;
    let is_duplicate = taker.finish(exchange, &fields)?;
    if let (Some(id), Some(no)) = (exchange.entry.preupload_id.clone(), exchange.entry.slice_no) {
        after_slice(exchange, id, no);
    }
    exchange.strike(At::Done)?;
    let behaviour = &exchange.faults.behaviour;
    if is_duplicate && behaviour.duplicate_slices == DuplicateSlices::Refuse {
        return Err(Refusal::bad("分片重复上传").into());
    }
    Ok(match behaviour.slice_answer {
        SliceAnswer::Envelope => Reply::ok(Value::Null),
        SliceAnswer::Empty => Reply::empty(200),
    })
}

/// Damages the slice if that was ordered, and lets the whole-file MD5 move on in the background.
fn after_slice(exchange: &Exchange, id: String, no: u32) {
    let drive = exchange.service.drive.clone();
    for action in &exchange.plan.shapes {
        if let Action::CorruptByte { offset } = action
            && let Err(error) = drive.corrupt(&id, no, *offset)
        {
            tracing::warn!(%error, "the ordered damage could not be done");
        }
    }
    if drive.keeps_bytes() {
        tokio::task::spawn_blocking(move || drive.follow(&id));
    }
}

/// `POST {domain}/upload/v2/file/single/create`
pub(crate) async fn single(exchange: &mut Exchange, body: &mut Body) -> Result<Reply, Stop> {
    let mut taker = SingleTaker::default();
    let fields = receive(exchange, body, &mut taker).await?;
    if !taker.is_known {
        taker.know(exchange, &fields)?;
        exchange.strike(At::Early)?;
    }
    exchange.strike(At::Body)?;
    exchange.admit(Endpoint::Single)?;
    let id = taker.finish(exchange, &fields)?;
    exchange.strike(At::Done)?;
    Ok(Reply::ok(json!({"fileID": id, "completed": true})))
}

/// Reads a multipart body to its end: text fields into the result, the file part into `taker`.
async fn receive<T: Taker>(exchange: &mut Exchange, body: &mut Body, taker: &mut T) -> Result<Fields, Stop> {
    let is_form =
        exchange.content_type().trim_start().to_ascii_lowercase().starts_with("multipart/form-data");
    let reader =
        if is_form { Reader::new(exchange.content_type()) } else { Err(MultipartError::NotMultipart) };
    let mut reader = match reader {
        Ok(reader) => reader,
        Err(error) => return refuse_body(body, error).await,
    };
    let mut form = Form::default();
    while let Some(bytes) = body.next().await? {
        reader.push(bytes);
        loop {
            match reader.next() {
                Ok(Some(event)) => form.take(event, exchange, taker)?,
                Ok(None) => break,
                Err(error) => return refuse_body(body, error).await,
            }
        }
        shape_body(exchange, body).await?;
    }
    if !reader.is_done() {
        return Err(Refusal::bad(MultipartError::Truncated.to_string()).into());
    }
    Ok(form.fields)
}

/// The service reads a body to its end before it looks at it, so a bad one is read to its end too.
async fn refuse_body(body: &mut Body, error: MultipartError) -> Result<Fields, Stop> {
    body.drain().await?;
    Err(Refusal::bad(error.to_string()).into())
}

/// A form that is being read.
#[derive(Default)]
struct Form {
    fields: Fields,
    name: String,
    value: Vec<u8>,
    is_file: bool,
    file_len: u64,
}

impl Form {
    fn take<T: Taker>(&mut self, event: Event, exchange: &mut Exchange, taker: &mut T) -> Result<(), Stop> {
        match event {
            Event::Part(head) => {
                self.is_file = head.name.eq_ignore_ascii_case(T::PART);
                if self.is_file {
                    taker.begin(exchange, &self.fields)?;
                }
                self.name = head.name;
                self.value.clear();
            }
            Event::Data(bytes) if self.is_file => self.take_file(&bytes, exchange, taker)?,
            Event::Data(bytes) => {
                if self.value.len() + bytes.len() > FIELD_LEN_MAX {
                    return Err(Refusal::bad(format!("{}过长", self.name)).into());
                }
                self.value.extend_from_slice(&bytes);
            }
            Event::PartEnd if !self.is_file => self.fields.set(&self.name, &self.value),
            Event::PartEnd | Event::End => {}
        }
        Ok(())
    }

    fn take_file<T: Taker>(
        &mut self,
        bytes: &Bytes,
        exchange: &mut Exchange,
        taker: &mut T,
    ) -> Result<(), Stop> {
        self.file_len += bytes.len() as u64;
        taker.take(bytes);
        match exchange.plan.strikes_at_byte() {
            Some(at) if self.file_len >= at => exchange.strike(At::Byte(at)),
            _ => Ok(()),
        }
    }
}

/// Takes one slice.
#[derive(Default)]
struct SliceTaker {
    is_known: bool,
    is_begun: bool,
    begun: Option<Begun>,
    /// Bytes that came before the fields that say where they belong.
    early: Option<Scratch>,
    refusal: Option<Refusal>,
}

impl Taker for SliceTaker {
    const PART: &'static str = "slice";

    fn begin(&mut self, exchange: &mut Exchange, fields: &Fields) -> Result<(), Stop> {
        self.is_begun = true;
        if ["preuploadID", "sliceNo", "sliceMD5"].iter().all(|name| fields.get(name).is_some()) {
            self.know(exchange, fields)?;
            return exchange.strike(At::Early);
        }
        self.early = exchange.service.drive.scratch()?;
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        let taken = match (&mut self.begun, &mut self.early) {
            (Some(begun), _) => begun.writer.write(bytes),
            (None, Some(early)) => early.write(bytes),
            (None, None) => Ok(()),
        };
        if let Err(error) = taken {
            self.refusal.get_or_insert(Refusal::internal("write slice", error));
        }
    }
}

impl SliceTaker {
    /// The fields are known: chooses the faults, and opens the slice's place.
    fn know(&mut self, exchange: &mut Exchange, fields: &Fields) -> Result<(), Stop> {
        self.is_known = true;
        let id = fields.get("preuploadID").unwrap_or_default().to_owned();
        exchange.entry.preupload_id = Some(id.clone());
        exchange.entry.slice_no = fields.number("sliceNo").ok();
        let subject = exchange.service.drive.upload(&id).map(|upload| upload.name).unwrap_or_default();
        let what = format!("{id}\0{}", exchange.entry.slice_no.unwrap_or_default());
        exchange.decide_known(Endpoint::Slice, what, &subject);
        exchange.apply_shapes()?;
        forget_if_old(exchange, &id)?;
        match open_slice(exchange, fields) {
            Ok(begun) => self.begun = Some(begun),
            Err(refusal) => self.refusal = Some(refusal),
        }
        Ok(())
    }

    /// All bytes are in. True if the slice was there before.
    fn finish(mut self, exchange: &Exchange, fields: &Fields) -> Result<bool, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        if !self.is_begun {
            return Err(Refusal::bad("slice不能为空"));
        }
        let Some(mut begun) = self.begun.take() else {
            return Err(Refusal::internal("store slice", "its place was never opened"));
        };
        if let Some(early) = &self.early {
            let replayed = early.replay(|bytes| begun.writer.write(bytes));
            replayed.map_err(|error| Refusal::internal("write slice", error))?;
        }
        exchange.service.drive.end_slice(begun.writer, fields.text("sliceMD5")?)?;
        Ok(begun.is_duplicate)
    }
}

fn open_slice(exchange: &Exchange, fields: &Fields) -> Result<Begun, Refusal> {
    exchange.admit(Endpoint::Slice)?;
    fields.text("sliceMD5")?;
    let service = &exchange.service;
    let no = fields.number("sliceNo")?;
    service.drive.begin_slice(fields.text("preuploadID")?, no, service.settings.checks_slices)
}

/// Takes one whole file.
#[derive(Default)]
struct SingleTaker {
    is_known: bool,
    is_begun: bool,
    bytes: Option<Scratch>,
    md5: Md5,
    len: u64,
    refusal: Option<Refusal>,
}

impl Taker for SingleTaker {
    const PART: &'static str = "file";

    fn begin(&mut self, exchange: &mut Exchange, fields: &Fields) -> Result<(), Stop> {
        self.is_begun = true;
        self.bytes = exchange.service.drive.scratch()?;
        // The official example sends the file first, before its name.
        if fields.get("filename").is_some() {
            self.know(exchange, fields)?;
            return exchange.strike(At::Early);
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        if let Some(scratch) = &mut self.bytes {
            self.md5.update(bytes);
            if let Err(error) = scratch.write(bytes) {
                self.refusal.get_or_insert(Refusal::internal("write file", error));
            }
        }
    }
}

impl SingleTaker {
    fn know(&mut self, exchange: &mut Exchange, fields: &Fields) -> Result<(), Stop> {
        self.is_known = true;
        let name = fields.get("filename").unwrap_or_default().to_owned();
        exchange.decide_known(Endpoint::Single, name.clone(), &name);
        exchange.apply_shapes().map_err(Stop::from)
    }

    fn finish(self, exchange: &Exchange, fields: &Fields) -> Result<i64, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        if !self.is_begun {
            return Err(Refusal::bad("file不能为空"));
        }
        let Declared { target, etag, size } = Declared::read(&exchange.service, fields)?;
        if size > SINGLE_SIZE_MAX {
            return Err(Refusal::bad("单步上传的文件大小不能超过1GB"));
        }
        if self.len != size {
            return Err(Refusal::bad(format!("文件大小不一致: size={size}，收到{}字节", self.len)));
        }
        let received = hex(&self.md5.finalize());
        if self.bytes.is_some() && received != etag {
            return Err(Refusal::bad(format!("文件md5不一致: etag={etag}，收到{received}")));
        }
        exchange.service.drive.store(&target, &etag, size, self.bytes)
    }
}
