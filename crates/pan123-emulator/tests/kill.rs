//! `kill -9` at any instant loses nothing that was acknowledged.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use pan123_emulator::{Emulator, Options};
use serde_json::{Value, json};
use support::{BOUNDARY, md5, noise, send, slice_body};

const TOKEN: &str = "kill-test";
const FOLDER: &str = "PAN123_EMULATOR_KILL_TEST";
const SLICES: usize = 40;
const SLICE_LEN: usize = 3000;

/// The emulator in a process of its own: the test below starts this test program again.
#[test]
fn child_emulator() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let mut options = Options::new(folder);
    options.tokens = vec![TOKEN.to_owned()];
    options.slice_size = SLICE_LEN as u64;
    let emulator = Emulator::start(options).unwrap();
    println!("listening {} {}", emulator.base_url(), emulator.servers()[0]);
    // Ends by a kill, or with the pipe when the parent is gone.
    let _ = std::io::stdin().lines().next();
}

struct Running {
    child: Child,
    base_url: String,
    server: String,
}

fn start(folder: &Path) -> Running {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child_emulator", "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines
        .map_while(Result::ok)
        .find(|line| line.contains("listening "))
        .expect("the child says where it listens");
    let mut words = line.split_once("listening ").unwrap().1.split(' ').map(str::to_owned);
    Running { child, base_url: words.next().unwrap(), server: words.next().unwrap() }
}

impl Running {
    fn post(&self, path: &str, body: &Value) -> std::io::Result<Value> {
        let head = format!(
            "Authorization: Bearer {TOKEN}\r\nPlatform: open_platform\r\nContent-Type: application/json\r\n"
        );
        Ok(send(&self.base_url, "POST", path, &head, body.to_string().as_bytes())?.json())
    }

    fn slice(&self, id: &str, no: u32, bytes: &[u8]) -> std::io::Result<Value> {
        let head = format!(
            "Authorization: Bearer {TOKEN}\r\nPlatform: open_platform\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        );
        Ok(send(
            &self.server,
            "POST",
            "/upload/v2/file/slice",
            &head,
            &slice_body(id, no, &md5(bytes), bytes),
        )?
        .json())
    }
}

#[test]
fn acknowledged_slices_and_files_outlive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(SLICES * SLICE_LEN - 11);
    let create = json!({"parentFileID": 0, "filename": "big.bin", "etag": md5(&bytes), "size": bytes.len()});
    let mut running = start(folder.path());
    let id = running.post("/upload/v2/file/create", &create).unwrap()["data"]["preuploadID"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut small = Vec::new();
    // Each round is killed while a small file is being completed by another thread.
    for (round, chunk) in bytes.chunks(SLICE_LEN * 8).enumerate() {
        for (index, slice) in chunk.chunks(SLICE_LEN).enumerate() {
            let no = (round * 8 + index + 1) as u32;
            assert_eq!(running.slice(&id, no, slice).unwrap()["code"], 0);
        }
        let content = noise(100 + round);
        let created = json!({"parentFileID": 0, "filename": format!("{round}.bin"), "etag": md5(&content), "size": content.len()});
        let small_id = running.post("/upload/v2/file/create", &created).unwrap()["data"]["preuploadID"]
            .as_str()
            .unwrap()
            .to_owned();
        running.slice(&small_id, 1, &content).unwrap();
        let target = &running;
        let is_told = std::thread::scope(|scope| {
            let under_way = scope.spawn(move || {
                target.post("/upload/v2/file/upload_complete", &json!({"preuploadID": small_id}))
            });
            let pid = target.child.id().to_string();
            for _ in 0..round * 2000 {
                std::hint::spin_loop();
            }
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            under_way.join().unwrap().is_ok_and(|answer| answer["data"]["completed"] == true)
        });
        running.child.wait().unwrap();
        small.push((round, content, is_told));
        running = start(folder.path());
    }
    let done = running.post("/upload/v2/file/upload_complete", &json!({"preuploadID": id})).unwrap();
    assert_eq!(done["data"]["completed"], true, "{done}");
    assert!(fs::read(folder.path().join("files/big.bin")).unwrap() == bytes);
    for (round, content, is_told) in small {
        let stored = fs::read(folder.path().join(format!("files/{round}.bin"))).ok();
        assert!(stored.is_none_or(|stored| stored == content), "round {round}: a file is whole or not there");
        assert!(
            !is_told || folder.path().join(format!("files/{round}.bin")).exists(),
            "round {round}: told, and gone"
        );
    }
    running.child.kill().unwrap();
    running.child.wait().unwrap();
}
