//! One run of an upload: from its start to its last event.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use pan123_upload::{
    Uploaded,
    proto::machine::{self, Stage},
};

use crate::{
    client::Active,
    error::ErrorRecord,
    event::Event,
    fields::Fields,
    guard::{Fault, fault, panic_text},
    memory::{MemoryStore, Warn},
    numbers::*,
    source::{Failed, Reading},
    upload::{Phase, Spent, Stopping, Upload, stage_number},
    wait::{self, Cancel},
};

/// How long a run that is to stop may take to do so by itself. With it the last event comes within 250 ms.
const GRACE: Duration = Duration::from_millis(150);

/// Runs an upload. Whatever happens, panics included, it ends with exactly one last event.
pub(crate) async fn run(upload: Arc<Upload>, active: Active) {
    let begun = Instant::now();
    let reading = Reading {
        calls: upload.core.calls.clone(),
        cancel: Cancel::new(),
        limit: upload.core.source_limit,
        failed: Failed::default(),
        resume_key: upload.resume_key.clone(),
    };
    let stopping = lock(&upload.stopping).clone();
    let driving = tokio::spawn(drive(upload.clone(), reading.clone(), stopping.requested.clone()));
    let abort = driving.abort_handle();
    let overdue = async {
        stopping.requested.fired().await;
        tokio::time::sleep(GRACE).await;
    };
    let outcome = match wait::unless(overdue, driving).await {
        Some(Ok(outcome)) => outcome,
        Some(Err(error)) => Err(match error.try_into_panic() {
            Ok(panic) => fault(PAN123_E_PANIC, panic_text(&*panic)),
            Err(_) => fault(PAN123_E_SHUTDOWN, "the client was shut down"),
        }),
        None => Err(stopped(&upload)),
    };
    abort.abort();
    count(&upload, begun.elapsed());
    // Whoever still waits for a callback waits no longer.
    reading.cancel.fire();
    end(&upload, outcome.map_err(|fault| *fault));
    drop(active);
}

/// Adds what a run took to what those before it did.
fn count(upload: &Upload, time: Duration) {
    let handed = lock(&upload.engine).as_ref().map_or(0, |engine| engine.bytes_handed());
    let mut spent = lock(&upload.spent);
    if !std::mem::replace(&mut spent.has_all, true) {
        spent.bytes += handed;
    }
    spent.time += time;
}

/// Has the engine do it, and passes on what it says.
async fn drive(upload: Arc<Upload>, reading: Reading, requested: Cancel) -> Result<Fields, Fault> {
    let engine = open(&upload, &reading).await?;
    if let Some(earlier) = lock(&upload.engine).replace(engine.clone()) {
        engine.goes_on_from(&earlier.progress());
    }
    lock(&upload.spent).has_all = false;
    let mut events = engine.events();
    engine.start();
    let mut tick = tokio::time::interval(upload.core.progress_every);
    let mut told = (true, 0);
    let mut is_stopping = false;
    loop {
        tokio::select! {
            biased;
            () = requested.fired(), if !is_stopping => {
                is_stopping = true;
                if lock(&upload.stopping).is_pause { engine.pause() } else { engine.cancel() }
            }
            event = events.recv() => match event {
                Some(event) => tell(&upload, event),
                None => break,
            },
            _ = tick.tick(), if upload.core.queue.is_some() => {
                let progress = engine.progress();
                let is_hashing = progress.stage == Stage::Hashing;
                let done = if is_hashing { progress.bytes_hashed } else { progress.bytes_sent };
                // A source sent between two ticks has as many bytes sent as it had hashed: that is news all the same.
                if (is_hashing, done) != told {
                    told = (is_hashing, done);
                    post(&upload, Event { kind: PAN123_EV_PROGRESS, bytes_done: done, ..Event::default() });
                }
            }
        }
    }
    match engine.wait().await {
        Ok(uploaded) => {
            if uploaded.earlier {
                let text = "an earlier run stored it, and ended before it could say so".to_owned();
                post(&upload, Event { kind: PAN123_EV_LOG, text: Some(text), ..Event::default() });
            }
            let spent = *lock(&upload.spent);
            Ok(fields(&uploaded, spent))
        }
        Err(_) if is_stopping && lock(&upload.stopping).requested.is_fired() => Err(stopped(&upload)),
        Err(error) => Err(reading.failed.record(&error)),
    }
}

/// The engine's upload. Made on a thread that may block, because it looks at the source.
async fn open(upload: &Arc<Upload>, reading: &Reading) -> Result<pan123_upload::Upload, Fault> {
    let (of, reading) = (upload.clone(), reading.clone());
    // Never closed, so there is always one in the end.
    let _permit = if of.given.may_hang() { None } else { upload.core.opens.acquire().await.ok() };
    let opened = upload.core.calls.call(move || {
        let weak = Arc::downgrade(&of);
        let warn: Warn = Arc::new(move |text| {
            if let Some(upload) = weak.upgrade() {
                post(&upload, Event { kind: PAN123_EV_LOG, text: Some(text), ..Event::default() });
            }
        });
        let behind = if of.is_kept { of.core.store_for(&reading.cancel) } else { None };
        let store = Arc::new(MemoryStore { memory: of.memory.clone(), behind, warn });
        let engine = of.core.engine.upload_kept_in(store, of.given.open(&reading), of.target.clone());
        engine.map_err(|error| reading.failed.record(&error))
    });
    opened.await?
}

fn stopped(upload: &Upload) -> Fault {
    let Stopping { is_pause, .. } = *lock(&upload.stopping);
    if is_pause {
        fault(PAN123_E_PAUSED, "paused as asked; it goes on when it is started again")
    } else {
        fault(PAN123_E_CANCELLED, "cancelled as asked")
    }
}

fn fields(uploaded: &Uploaded, before: Spent) -> Fields {
    let ms_before = u64::try_from(before.time.as_millis()).unwrap_or(u64::MAX);
    Fields::default()
        .number(PAN123_F_FILE_ID, uploaded.file_id)
        .text(PAN123_F_ETAG, uploaded.etag.to_string())
        .size(PAN123_F_SIZE, uploaded.size)
        .number(PAN123_F_SLICE_COUNT, uploaded.slices)
        .number(PAN123_F_REUSED, uploaded.reused)
        .number(PAN123_F_COMPLETED, 1)
        .size(PAN123_F_BYTES_SENT, before.bytes.saturating_add(uploaded.bytes_sent))
        .size(PAN123_F_ELAPSED_MS, ms_before.saturating_add(uploaded.elapsed_ms))
        .with_json()
}

/// The last event, and the outcome for those who wait.
fn end(upload: &Upload, outcome: Result<Fields, ErrorRecord>) {
    let last = match &outcome {
        Ok(fields) => Event {
            kind: PAN123_EV_COMPLETED,
            value: fields.get_number(PAN123_F_FILE_ID).unwrap_or(0),
            bytes_done: upload.given.size(),
            ..Event::default()
        },
        Err(error) => Event {
            kind: match error.code {
                PAN123_E_CANCELLED => PAN123_EV_CANCELLED,
                PAN123_E_PAUSED => PAN123_EV_PAUSED,
                _ => PAN123_EV_FAILED,
            },
            code: error.code,
            text: Some(error.message()),
            ..Event::default()
        },
    };
    // Both under one lock, so that nothing can come after the last event of this run.
    upload.phase.send_modify(|phase| {
        post_in(upload, last);
        *phase = Phase::Ended(Arc::new(outcome));
    });
}

/// Passes an event of the engine's on.
fn tell(upload: &Upload, event: machine::Event) {
    let event = match event {
        machine::Event::Stage { stage } => {
            Event { kind: PAN123_EV_STATE, value: stage_number(stage).into(), ..Event::default() }
        }
        machine::Event::Slice { no, .. } => Event {
            kind: PAN123_EV_SLICE,
            slice_no: no,
            bytes_done: lock(&upload.engine).as_ref().map_or(0, |engine| engine.progress().bytes_sent),
            ..Event::default()
        },
        machine::Event::Retry { slice_no, attempt, reason, .. } => Event {
            kind: PAN123_EV_RETRY,
            slice_no: slice_no.unwrap_or(0),
            value: attempt.into(),
            text: Some(reason),
            ..Event::default()
        },
        machine::Event::Restart { reason } => {
            let text = format!("starting over: {reason}");
            Event { kind: PAN123_EV_LOG, text: Some(text), ..Event::default() }
        }
        machine::Event::Parallel { slices, reason } => {
            let text = format!("{slices} slices in flight: {reason}");
            Event { kind: PAN123_EV_LOG, text: Some(text), ..Event::default() }
        }
        _ => return,
    };
    post(upload, event);
}

/// Sends an event, unless the run is over.
fn post(upload: &Upload, event: Event) {
    let phase = upload.phase.borrow();
    if matches!(*phase, Phase::Running) {
        post_in(upload, event);
    }
}

/// Sends an event; the caller holds the phase.
fn post_in(upload: &Upload, event: Event) {
    let Some(queue) = &upload.core.queue else { return };
    let mut seq = lock(&upload.seq);
    *seq += 1;
    let (id, user, bytes_total) = (upload.id, upload.user, upload.given.size());
    queue.post(Event { upload: id, user, seq: *seq, bytes_total, ..event });
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
