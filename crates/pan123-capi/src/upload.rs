//! Uploads as the host sees them.

use std::{
    ffi::c_char,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

// By its full path, because the C type below has its name.
use ::pan123_upload::{
    self as engine, Error, ErrorKind, Target, journal,
    proto::{Class, Endpoint, advice, machine::Stage, names},
};
use libc::size_t;
use tokio::sync::watch;

use crate::{
    client::{Core, pan123_client},
    error::{ErrorRecord, pan123_error},
    event,
    fields::Fields,
    guard::{Fault, fault, guard, invalid, may_wait, quiet},
    handle::{self, Object},
    memory::Memory,
    numbers::*,
    options::{Scope, Settings, pan123_options},
    result::pan123_result,
    run,
    source::{Given, pan123_source},
    text,
    wait::{self, Cancel},
};

/// The upload of one source to one place. Does nothing until it is started.
#[allow(missing_debug_implementations, reason = "a name for C, without content")]
pub struct pan123_upload {
    _private: [u8; 0],
}

impl Object for pan123_upload {
    type Inside = Arc<Upload>;
    const NAME: &'static str = "pan123_upload";
}

/// How far an upload is. No figure ever falls, also not when a paused upload is started again.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pan123_progress {
    /// `sizeof(pan123_progress)` of the program.
    pub struct_size: u32,
    /// A `PAN123_STAGE_`: the furthest that was reached.
    pub state: u32,
    /// Slices that the service has acknowledged.
    pub slices_done: u32,
    /// Slices in all; 0 before the service has named a slice size, and for an upload without slices, which
    /// went out whole, see `pan123_upload_new`, or which the service had already.
    pub slices_total: u32,
    /// Requests that were sent again.
    pub retries: u32,
    /// 0.
    pub reserved: u32,
    /// Bytes whose digests are known.
    pub bytes_hashed: u64,
    /// Bytes that connections have taken; those sent again count once.
    pub bytes_sent: u64,
    /// Bytes of slices that the service has acknowledged.
    pub bytes_confirmed: u64,
    /// Size in bytes.
    pub bytes_total: u64,
}

/// What is behind a `pan123_upload`.
pub(crate) struct Upload {
    /// Tells uploads of a client apart.
    pub(crate) id: u64,
    pub(crate) core: Arc<Core>,
    pub(crate) given: Given,
    pub(crate) target: Target,
    pub(crate) resume_key: Option<String>,
    /// Another run may find it in the store.
    pub(crate) is_kept: bool,
    pub(crate) user: u64,
    pub(crate) memory: Memory,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) stopping: Mutex<Stopping>,
    /// The engine's upload, of the last run.
    pub(crate) engine: Mutex<Option<engine::Upload>>,
    pub(crate) seq: Mutex<u64>,
    pub(crate) spent: Mutex<Spent>,
}

/// What the runs before the last one took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
    /// The bytes of the engine's upload are in it, or there is none.
    pub(crate) has_all: bool,
}

/// Where an upload stands.
#[derive(Clone)]
pub(crate) enum Phase {
    New,
    Running,
    Ended(Arc<Result<Fields, ErrorRecord>>),
}

/// Whether and how a run is to end early. A new one for each run.
#[derive(Clone)]
pub(crate) struct Stopping {
    pub(crate) requested: Cancel,
    pub(crate) is_pause: bool,
}

impl Stopping {
    fn new() -> Self {
        Self { requested: Cancel::new(), is_pause: false }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Upload {
    /// An upload that has not been started.
    fn new(
        core: &Arc<Core>,
        given: &Given,
        target: Target,
        resume_key: Option<String>,
        user: u64,
        memory: Memory,
    ) -> Result<Arc<Self>, Fault> {
        check_target(target.parent_id, &target.filename, target.contain_dir, given.size())?;
        // Counted for a moment, to learn whether the client still begins anything.
        drop(core.enter()?);
        let is_file = matches!(given, Given::Ready(source) if source.path().is_some());
        let upload = Arc::new(Self {
            id: core.next_upload.fetch_add(1, Ordering::Relaxed),
            core: core.clone(),
            given: given.clone(),
            target,
            is_kept: is_file || resume_key.is_some(),
            resume_key,
            user,
            memory,
            phase: watch::Sender::new(Phase::New),
            stopping: Mutex::new(Stopping::new()),
            engine: Mutex::default(),
            seq: Mutex::new(0),
            spent: Mutex::new(Spent { has_all: true, ..Spent::default() }),
        });
        core.remember(&upload);
        Ok(upload)
    }

    fn start(self: &Arc<Self>) -> Result<(), Fault> {
        let active = self.core.enter()?;
        let mut refusal = None;
        self.phase.send_modify(|phase| match phase {
            Phase::New => *phase = Phase::Running,
            Phase::Running => refusal = Some(fault(PAN123_E_WRONG_STATE, "the upload is running already")),
            Phase::Ended(outcome) => match &**outcome {
                Err(error) if error.code == PAN123_E_PAUSED => {
                    *lock(&self.stopping) = Stopping::new();
                    *phase = Phase::Running;
                }
                Err(error) if error.code == PAN123_E_CANCELLED => {
                    refusal = Some(fault(PAN123_E_CANCELLED, "the upload was cancelled; make a new one"));
                }
                _ => refusal = Some(fault(PAN123_E_WRONG_STATE, "the upload is over; make a new one")),
            },
        });
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        self.core.runtime.spawn(run::run(self.clone(), active));
        Ok(())
    }

    /// Cancels, whatever the upload is doing.
    pub(crate) fn cancel(&self) {
        let was_still = self.phase.send_if_modified(|phase| {
            let words = match phase {
                Phase::New => "cancelled before it was started",
                Phase::Ended(outcome) if is_paused(outcome) => "cancelled while it was paused",
                _ => return false,
            };
            *phase = Phase::Ended(Arc::new(Err(ErrorRecord::new(PAN123_E_CANCELLED, words))));
            true
        });
        if !was_still {
            let mut stopping = lock(&self.stopping);
            stopping.is_pause = false;
            stopping.requested.fire();
        }
    }

    fn pause(&self) {
        if matches!(*self.phase.borrow(), Phase::Running) {
            let mut stopping = lock(&self.stopping);
            if !stopping.requested.is_fired() {
                stopping.is_pause = true;
                stopping.requested.fire();
            }
        }
    }

    fn wait(&self, timeout_ms: i64) -> Result<Fields, Fault> {
        if matches!(*self.phase.borrow(), Phase::New) {
            return Err(fault(PAN123_E_WRONG_STATE, "the upload was not started"));
        }
        let mut phase = self.phase.subscribe();
        let over = async {
            let over = phase.wait_for(|phase| matches!(phase, Phase::Ended(_))).await;
            over.ok().and_then(
                |phase| if let Phase::Ended(outcome) = &*phase { Some(outcome.clone()) } else { None },
            )
        };
        let outcome = wait::until(wait::deadline(timeout_ms), over);
        let outcome = outcome.ok_or_else(|| fault(PAN123_E_TIMEOUT, "the upload is still running"))?;
        match outcome.as_deref() {
            Some(Ok(fields)) => Ok(fields.clone()),
            Some(Err(error)) => Err(Box::new(error.clone())),
            None => Err(fault(PAN123_E_INTERNAL, "the upload ended without an outcome")),
        }
    }

    fn progress(&self) -> pan123_progress {
        let engine = lock(&self.engine).clone();
        let mut record = pan123_progress {
            struct_size: 0,
            state: PAN123_STAGE_NEW,
            slices_done: 0,
            slices_total: 0,
            retries: 0,
            reserved: 0,
            bytes_hashed: 0,
            bytes_sent: 0,
            bytes_confirmed: 0,
            bytes_total: self.given.size(),
        };
        if let Some(progress) = engine.map(|engine| engine.progress()) {
            record.state = stage_number(progress.stage);
            record.slices_done = progress.slices_done;
            record.slices_total = progress.slices_total;
            record.retries = progress.retries;
            record.bytes_hashed = progress.bytes_hashed;
            record.bytes_sent = progress.bytes_sent;
            record.bytes_confirmed = progress.bytes_acknowledged;
        }
        record
    }
}

fn is_paused(outcome: &Result<Fields, ErrorRecord>) -> bool {
    matches!(outcome, Err(error) if error.code == PAN123_E_PAUSED)
}

pub(crate) fn stage_number(stage: Stage) -> u32 {
    match stage {
        Stage::Hashing => PAN123_STAGE_HASHING,
        Stage::Creating => PAN123_STAGE_CREATING,
        Stage::Sending => PAN123_STAGE_SENDING,
        Stage::Completing => PAN123_STAGE_COMPLETING,
        Stage::Done => PAN123_STAGE_DONE,
    }
}

/// Refuses a place or a size that the service would refuse.
pub(crate) fn check_target(parent_id: i64, name: &str, contain_dir: bool, size: u64) -> Result<(), Fault> {
    let checked = if contain_dir { names::check_path(name) } else { names::check_filename(name) };
    checked.map_err(|error| {
        Error::new(ErrorKind::Name, "check name", error.to_string())
            .with_advice(advice(Class::BadName, Endpoint::Create))
    })?;
    if parent_id < 0 {
        return Err(invalid(format!("parent_id is {parent_id}; ids are not negative, and 0 is the root")));
    }
    names::check_size(size).map_err(|error| invalid(error.to_string()))
}

/// Makes an upload of `s` to the folder `parent_id` (0 is the root) under `name`. Starts nothing, and calls nothing back.
/// `user` comes back in each event. Of `o`, `PAN123_OPT_DUPLICATE`, `PAN123_OPT_CONTAIN_DIR` and `PAN123_OPT_RESUME_KEY`
/// count.
///
/// A source of up to 16 MiB, which is one slice, may go out whole in one request (`single/create`): when it would have to
/// wait longer for its turn to `create`, once a second, than to send its bytes, as when many small files go one after the
/// other. Then there is no `PAN123_EV_SLICE`, and the slice figures of progress and result are 0, as they are if the
/// service had the bytes. If that request fails the upload goes on with `create` and slices.
///
/// Returns `PAN123_OK`; `PAN123_E_NAME` for a name that the service would refuse; `PAN123_E_INVALID_ARGUMENT` for an empty
/// source, one larger than the service takes, and for options that are meant for a client; `PAN123_E_SHUTDOWN`.
///
/// Ownership: keeps references to `c` and `s`; yours stay yours. `*out` is yours; free it with `pan123_upload_free`.
/// Thread: any. Blocking: no. Since 0.1.
///
/// ```c
/// pan123_upload *u = NULL;
/// pan123_result *r = NULL;
/// if (pan123_upload_new(c, s, 0, "film.mkv", PAN123_NUL, NULL, 0, &u, &err) == PAN123_OK
///     && pan123_upload_start(u, &err) == PAN123_OK
///     && pan123_upload_wait(u, -1, &r, &err) == PAN123_OK)
///     printf("file id %lld\n", (long long)pan123_result_i64(r, PAN123_F_FILE_ID, 0));
/// ```
///
/// # Safety
///
/// `c`, `s` and `o` are NULL or live; `name` is NULL or readable for `name_len` bytes, or up to its NUL for `PAN123_NUL`;
/// `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_upload_new(
    c: *mut pan123_client,
    s: *mut pan123_source,
    parent_id: i64,
    name: *const c_char,
    name_len: size_t,
    o: *const pan123_options,
    user: u64,
    out: *mut *mut pan123_upload,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let out = unsafe { handle::object_place(out) }?;
        // SAFETY: by the contract of this function.
        let (core, given, name, settings) = unsafe {
            (
                handle::look(c.cast_const())?,
                handle::look(s.cast_const())?,
                text::text(name, name_len, "name")?,
                Settings::of(o, &[Scope::Target, Scope::Upload], "pan123_upload_new")?,
            )
        };
        let target = Target {
            parent_id,
            filename: name.to_owned(),
            contain_dir: settings.flag(PAN123_OPT_CONTAIN_DIR),
            duplicate: settings.duplicate(),
        };
        let key = settings.text(PAN123_OPT_RESUME_KEY).map(str::to_owned);
        *out = handle::give(Upload::new(&core, &given, target, key, user, Memory::default())?);
        Ok(())
    })
}

/// Makes an upload that goes on where another one stopped, perhaps in another process: `state` is `PAN123_F_STATE` of
/// `pan123_upload_export`, and says where the file goes. `s` must be the same source in the same state; if it is not, the
/// upload starts over, and says so in an event. Of `o`, `PAN123_OPT_RESUME_KEY` counts.
///
/// Returns as `pan123_upload_new`; `PAN123_E_INVALID_ARGUMENT` for a state that cannot be read or belongs to another
/// service; `PAN123_E_SOURCE_CHANGED` if the source has another size.
///
/// Ownership, thread, blocking: as `pan123_upload_new`; `state` is copied. Since 0.1.
///
/// # Safety
///
/// As `pan123_upload_new`; `state` is NULL or readable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_upload_import(
    c: *mut pan123_client,
    s: *mut pan123_source,
    state: *const u8,
    len: size_t,
    o: *const pan123_options,
    user: u64,
    out: *mut *mut pan123_upload,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let out = unsafe { handle::object_place(out) }?;
        // SAFETY: by the contract of this function.
        let (core, given, state, settings) = unsafe {
            (
                handle::look(c.cast_const())?,
                handle::look(s.cast_const())?,
                text::bytes(state, len, "state")?,
                Settings::of(o, &[Scope::Upload], "pan123_upload_import")?,
            )
        };
        let journal =
            journal::Journal::decode(state).map_err(|error| invalid(format!("the state: {error}")))?;
        let header = journal.ok_or_else(|| invalid("the state is empty"))?.header;
        if header.base_url != core.base_url {
            let message = format!(
                "the state is of an upload to {}, and this client is for {}",
                header.base_url, core.base_url
            );
            return Err(invalid(message));
        }
        if header.spec.size != given.size() {
            let message =
                format!("the source had {} bytes then, and has {} now", header.spec.size, given.size());
            return Err(fault(PAN123_E_SOURCE_CHANGED, message));
        }
        let spec = header.spec;
        let target = Target {
            parent_id: spec.parent_id,
            filename: spec.filename,
            contain_dir: spec.contain_dir,
            duplicate: spec.duplicate,
        };
        let key = settings.text(PAN123_OPT_RESUME_KEY).map(str::to_owned);
        *out = handle::give(Upload::new(&core, &given, target, key, user, Memory::new(state.to_vec()))?);
        Ok(())
    })
}

/// Starts an upload. One that was paused goes on where it was.
///
/// Each upload that is started has exactly one last event, `PAN123_EV_COMPLETED`, `PAN123_EV_FAILED`,
/// `PAN123_EV_CANCELLED` or `PAN123_EV_PAUSED`, and none after it until it is started again.
///
/// Returns `PAN123_OK`; `PAN123_E_WRONG_STATE` if it runs or is over; `PAN123_E_CANCELLED` if it was cancelled;
/// `PAN123_E_SHUTDOWN`; `PAN123_E_INVALID_ARGUMENT`.
///
/// Thread: any, also inside a callback. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `u` is NULL or a live upload; `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_upload_start(
    u: *mut pan123_upload,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        unsafe { handle::look(u.cast_const()) }?.start()
    })
}

/// Cancels an upload. It ends within 250 ms, also if a callback never returns, and is resumed by a new upload of the same
/// source to the same place, if there is a store. May be called at any time and any number of times; before the start it
/// prevents it, one that is paused counts as cancelled from then on, without another event, and after the end it does
/// nothing. NULL is fine.
///
/// Thread: any, also inside a callback. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `u` is NULL or a live upload.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_upload_cancel(u: *mut pan123_upload) {
    quiet((), || {
        // SAFETY: by the contract of this function.
        if let Ok(upload) = unsafe { handle::look(u.cast_const()) } {
            upload.cancel();
        }
    });
}

/// Pauses an upload that runs: as `pan123_upload_cancel`, but `pan123_upload_start` goes on where it was. Does nothing to
/// one that does not run, or that is being cancelled. NULL is fine.
///
/// Thread: any, also inside a callback. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `u` is NULL or a live upload.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_upload_pause(u: *mut pan123_upload) {
    quiet((), || {
        // SAFETY: by the contract of this function.
        if let Ok(upload) = unsafe { handle::look(u.cast_const()) } {
            upload.pause();
        }
    });
}

/// Waits until an upload is over, for at most `timeout_ms` milliseconds: negative for ever, 0 not at all. May be called
/// often, and by several threads.
///
/// Puts a result with `PAN123_F_FILE_ID`, `PAN123_F_ETAG`, `PAN123_F_SIZE`, `PAN123_F_SLICE_COUNT`, `PAN123_F_REUSED`,
/// `PAN123_F_BYTES_SENT` and `PAN123_F_ELAPSED_MS` into `*out`.
///
/// Returns `PAN123_OK`; why the upload failed, `PAN123_E_CANCELLED` or `PAN123_E_PAUSED`; `PAN123_E_TIMEOUT` if it is still
/// running; `PAN123_E_WRONG_STATE` if it was neither started nor cancelled; `PAN123_E_WOULD_DEADLOCK` in a callback;
/// `PAN123_E_INVALID_ARGUMENT`.
///
/// Ownership: `*out` is yours; free it with `pan123_result_free`. Thread: any. Blocking: as long as `timeout_ms` says.
/// Since 0.1.
///
/// # Safety
///
/// `u` is NULL or a live upload; `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_upload_wait(
    u: *mut pan123_upload,
    timeout_ms: i64,
    out: *mut *mut pan123_result,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let (out, upload) = unsafe { (handle::object_place(out)?, handle::look(u.cast_const())?) };
        if timeout_ms != 0 {
            may_wait("pan123_upload_wait")?;
        }
        *out = handle::give(upload.wait(timeout_ms)?);
        Ok(())
    })
}

/// Says how far an upload is. `out->struct_size` says what the caller's record has room for.
///
/// Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT`; `PAN123_E_ABI` for a `struct_size` that cannot be.
///
/// Thread: any, also inside a callback. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `u` is NULL or a live upload; `out` is NULL or writable for as many bytes as its `struct_size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_upload_progress(
    u: *const pan123_upload,
    out: *mut pan123_progress,
) -> pan123_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: by the contract of this function.
        let (upload, size) = unsafe { (handle::look(u)?, event::checked_size(out)?) };
        // SAFETY: `size` bytes are writable and no more than the record has.
        unsafe { event::write_sized(out, upload.progress(), size) };
        Ok(())
    })
}

/// Takes the state of an upload, at any time, for `pan123_upload_import`. It holds no secrets.
///
/// Puts a result with `PAN123_F_STATE` into `*out`.
///
/// Returns `PAN123_OK`; `PAN123_E_WRONG_STATE` if there is nothing yet to go on from, or nothing any more;
/// `PAN123_E_INVALID_ARGUMENT`.
///
/// Ownership: `*out` is yours; free it with `pan123_result_free`. Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `u` is NULL or a live upload; `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_upload_export(
    u: *const pan123_upload,
    out: *mut *mut pan123_result,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let (out, upload) = unsafe { (handle::object_place(out)?, handle::look(u)?) };
        let state = upload.memory.bytes();
        if state.is_empty() {
            return Err(fault(PAN123_E_WRONG_STATE, "there is nothing to go on from"));
        }
        *out = handle::give(Fields::default().text(PAN123_F_STATE, state).with_json());
        Ok(())
    })
}

/// Adds a reference to an upload, for another owner; each is dropped with `pan123_upload_free`.
///
/// Returns `u`; NULL if it is NULL or was made before a fork.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `u` is NULL or a live upload.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_upload_retain(u: *mut pan123_upload) -> *mut pan123_upload {
    // SAFETY: by the contract of this function.
    quiet(std::ptr::null_mut(), || unsafe { handle::retain(u) })
}

/// Drops your reference to an upload. One that runs goes on to its end. NULL is fine.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `u` is NULL or a live upload, which is gone afterwards as far as the caller is concerned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_upload_free(u: *mut pan123_upload) {
    // SAFETY: by the contract of this function.
    quiet((), || unsafe { handle::free(u) });
}
