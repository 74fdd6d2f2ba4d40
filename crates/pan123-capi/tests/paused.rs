//! What a result tells of an upload that was paused and started again.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::{
    ffi::{CStr, CString},
    ptr,
    time::Instant,
};

use pan123::{
    client::{pan123_client_free, pan123_client_new, pan123_client_shutdown},
    error::{pan123_error, pan123_error_str},
    numbers::*,
    options::{pan123_options_free, pan123_options_new, pan123_options_set_str},
    result::{pan123_result_free, pan123_result_i64},
    source::{pan123_source_free, pan123_source_from_memory},
    upload::{
        pan123_progress, pan123_upload_free, pan123_upload_new, pan123_upload_pause, pan123_upload_progress,
        pan123_upload_start, pan123_upload_wait,
    },
};
use pan123_emulator::{Action, Emulator, Fault, Faults, Options};

const SLICE: u64 = 64 << 10;
const SIZE: usize = 10 * SLICE as usize;

unsafe fn ok(status: pan123_status, err: *mut pan123_error) {
    if status != PAN123_OK {
        // SAFETY: the error of a call that failed, or NULL, which has no text.
        let text = unsafe { pan123_error_str(err, PAN123_F_MESSAGE, ptr::null_mut()) };
        // SAFETY: a text of a live error.
        let text = (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) });
        panic!("{status}: {text:?}");
    }
}

fn figures(progress: &pan123_progress) -> [u64; 7] {
    let &pan123_progress { state, slices_done, slices_total, retries, .. } = progress;
    let &pan123_progress { bytes_hashed, bytes_sent, bytes_confirmed, .. } = progress;
    [
        state.into(),
        slices_done.into(),
        slices_total.into(),
        retries.into(),
        bytes_hashed,
        bytes_sent,
        bytes_confirmed,
    ]
}

#[test]
fn bytes_and_time_of_all_starts_are_told_and_pauses_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::new(dir.path().to_owned());
    options.slice_size = SLICE;
    let emulator = Emulator::start(options).unwrap();
    // The first run comes to three slices, and not to its end.
    let hang = Fault::new(pan123_upload::proto::Endpoint::Slice, Action::Hang).slices(4..);
    emulator.set_faults(Faults { faults: vec![hang], ..Faults::default() }).unwrap();
    let base = CString::new(emulator.base_url()).unwrap();
    let token = CString::new(emulator.token()).unwrap();
    let data: Vec<u8> = (0..SIZE).map(|index| (index % 251) as u8).collect();

    // SAFETY: what is given lives on, and every object is used as its documentation says.
    unsafe {
        let mut err = ptr::null_mut();
        let (mut o, mut s, mut c, mut u, mut r) =
            (ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        ok(pan123_options_new(&raw mut o, &raw mut err), err);
        for (option, text) in [(PAN123_OPT_BASE_URL, &base), (PAN123_OPT_ACCESS_TOKEN, &token)] {
            ok(pan123_options_set_str(o, option, text.as_ptr(), usize::MAX, &raw mut err), err);
        }
        ok(pan123_source_from_memory(data.as_ptr(), SIZE, None, 0, &raw mut s, &raw mut err), err);
        let (t, x, store, q) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        ok(pan123_client_new(o, t, x, store, q, &raw mut c, &raw mut err), err);
        let name = c"f".as_ptr();
        ok(pan123_upload_new(c, s, 0, name, usize::MAX, ptr::null(), 0, &raw mut u, &raw mut err), err);

        let begun = Instant::now();
        ok(pan123_upload_start(u, &raw mut err), err);
        let mut progress: pan123_progress = std::mem::zeroed();
        progress.struct_size = u32::try_from(size_of_val(&progress)).unwrap();
        while progress.slices_done < 3 {
            assert_eq!(pan123_upload_wait(u, 1, &raw mut r, ptr::null_mut()), PAN123_E_TIMEOUT);
            assert_eq!(pan123_upload_progress(u, &raw mut progress), PAN123_OK);
        }
        pan123_upload_pause(u);
        assert_eq!(pan123_upload_wait(u, -1, &raw mut r, ptr::null_mut()), PAN123_E_PAUSED);
        let first_run = begun.elapsed().as_millis();

        // One that is stopped at once has done less than the one before, and says nothing less.
        assert_eq!(pan123_upload_progress(u, &raw mut progress), PAN123_OK);
        ok(pan123_upload_start(u, &raw mut err), err);
        pan123_upload_pause(u);
        assert_eq!(pan123_upload_wait(u, -1, &raw mut r, ptr::null_mut()), PAN123_E_PAUSED);
        let before = progress;
        assert_eq!(pan123_upload_progress(u, &raw mut progress), PAN123_OK);
        for (now, before) in figures(&progress).into_iter().zip(figures(&before)) {
            assert!(now >= before, "{progress:?} after {before:?}");
        }

        emulator.set_faults(Faults::default()).unwrap();
        ok(pan123_upload_start(u, &raw mut err), err);
        ok(pan123_upload_wait(u, -1, &raw mut r, &raw mut err), err);
        let all = begun.elapsed().as_millis();
        let sent = pan123_result_i64(r, PAN123_F_BYTES_SENT, -1);
        assert!(sent >= SIZE as i64, "{sent} of {SIZE} bytes");
        let elapsed = u128::try_from(pan123_result_i64(r, PAN123_F_ELAPSED_MS, -1)).unwrap();
        assert!(elapsed <= all && elapsed >= first_run / 2, "{elapsed} ms of {all}, first {first_run}");
        pan123_result_free(r);
        pan123_upload_free(u);
        ok(pan123_client_shutdown(c, 1, 60_000, &raw mut err), err);
        pan123_source_free(s);
        pan123_client_free(c);
        pan123_options_free(o);
    }
    emulator.stop();
}
