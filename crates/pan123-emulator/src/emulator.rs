//! The handle: start, ask, change, stop.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{Builder, Runtime},
    sync::{oneshot, watch},
};

use crate::{
    connection::{self, Port},
    drive::Drive,
    error::{Error, ErrorKind},
    faults::{Fault, Faults},
    log::{Log, Request},
    options::Options,
    service::{Service, Settings},
    tokens::{self, Tokens},
};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// The file that names the ports of the upload hosts, one a line.
const PORTS: &str = "ports";
/// How long a change of an upload host is waited for.
const HOST_PATIENCE: Duration = Duration::from_secs(5);
/// How long stopping waits for file work under way.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A running emulator. Stops when dropped.
///
/// It has threads of its own, so every method may be called from any thread, inside or outside of an async runtime.
#[derive(Debug)]
pub struct Emulator {
    service: Arc<Service>,
    base_url: String,
    token: String,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Emulator {
    /// Opens the folder, takes the ports, and begins to answer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] or [`ErrorKind::Script`] when an option or a fault makes no sense,
    /// [`ErrorKind::Storage`] when the folder cannot be used, [`ErrorKind::Listen`] when the port is taken.
    pub fn start(mut options: Options) -> Result<Self, Error> {
        options.check()?;
        if options.tokens.is_empty() {
            options.tokens.push(tokens::new_token());
        }
        let token = options.tokens[0].clone();
        let (ready, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let main = move || match Server::open(options) {
            Ok(server) => {
                let _ = ready.send(Ok((server.service.clone(), server.base_url.clone())));
                server.run(stopped);
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        };
        let step = "start thread";
        let thread = std::thread::Builder::new().name("pan123-emulator".to_owned()).spawn(main);
        let thread = thread.map_err(|error| Error::io(ErrorKind::Listen, step, "no thread", error))?;
        let answer = started.recv().map_err(|_| Error::new(ErrorKind::Listen, step, "it ended at once"))?;
        let (service, base_url) = answer?;
        let emulator = Self { service, base_url, token, running: Mutex::new(Some(Running { stop, thread })) };
        emulator.settle_hosts();
        Ok(emulator)
    }

    /// URL of the API, such as `http://127.0.0.1:40123`, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// URLs of the upload hosts, as `create` and `domain` name them.
    pub fn servers(&self) -> &[String] {
        &self.service.servers
    }

    /// An access token that is valid and stays so: the first of [`Options::tokens`].
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The requests so far, oldest first. A request is there before its answer goes out.
    pub fn requests(&self) -> Vec<Request> {
        self.service.log.requests()
    }

    /// Forgets the requests so far; the log file stays.
    pub fn clear_requests(&self) {
        self.service.log.clear();
    }

    /// The behaviour and faults in force.
    pub fn faults(&self) -> Faults {
        (*self.service.faults()).clone()
    }

    /// Puts other behaviour and faults in force. Attempts go on counting; [`Fault::times`] starts anew.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Script`] when they make no sense; the ones before stay in force.
    pub fn set_faults(&self, faults: Faults) -> Result<(), Error> {
        faults.check(u32::try_from(self.service.servers.len()).unwrap_or(u32::MAX))?;
        self.service.set_faults(faults);
        self.settle_hosts();
        Ok(())
    }

    /// Adds one fault behind those in force.
    ///
    /// # Errors
    ///
    /// As [`set_faults`](Self::set_faults).
    pub fn add_fault(&self, fault: Fault) -> Result<(), Error> {
        let mut faults = self.faults();
        faults.faults.push(fault);
        self.set_faults(faults)
    }

    /// Kills an upload host: its connections are reset, and new ones are refused from the return of this call on.
    /// No effect on one that is dead or not there.
    pub fn kill_server(&self, index: u32) {
        self.service.set_alive(index, false);
        self.settle_hosts();
    }

    /// Brings a dead upload host back, on its old port. No effect on one that is alive or not there.
    pub fn revive_server(&self, index: u32) {
        self.service.set_alive(index, true);
        self.settle_hosts();
    }

    /// A stopped emulator has no hosts to wait for.
    fn settle_hosts(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() {
            self.service.settle_hosts(HOST_PATIENCE);
        }
    }

    /// Ends every token that `access_token` or OAuth2 gave out. Those of [`Options::tokens`] stay valid.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`] when the index cannot be written.
    pub fn expire_tokens(&self) -> Result<(), Error> {
        let expired = self.service.tokens.expire_all(&self.service.drive);
        expired.map_err(|refusal| Error::new(ErrorKind::Storage, "expire tokens", refusal.message))
    }

    /// Forgets an upload, as the service does after a time that nobody knows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`] when the index cannot be written.
    pub fn forget_upload(&self, preupload_id: &str) -> Result<(), Error> {
        let forgotten = self.service.drive.forget(preupload_id);
        forgotten.map_err(|refusal| Error::new(ErrorKind::Storage, "forget upload", refusal.message))
    }

    /// Where the bytes of a stored file are. `None` if there is no such file, or its bytes are not kept.
    pub fn file_path(&self, file_id: i64) -> Option<PathBuf> {
        self.service.drive.file_path(file_id)
    }

    /// Stops: cuts all connections, and lets another emulator use the folder. The files and the index stay. No
    /// effect when it is stopped already.
    pub fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { stop, thread }) = running {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What runs on the emulator's own thread.
struct Server {
    runtime: Runtime,
    service: Arc<Service>,
    base_url: String,
    api: TcpListener,
    hosts: Vec<TcpListener>,
}

impl Server {
    fn open(options: Options) -> Result<Self, Error> {
        let step = "open ports";
        let runtime = Builder::new_multi_thread().enable_all().thread_name("pan123-emulator").build();
        let runtime = runtime.map_err(|error| Error::io(ErrorKind::Listen, step, "no runtime", error))?;
        let entered = runtime.enter();
        let log = Log::open(options.log.as_deref())?;
        let (drive, token_records) = Drive::open(&options.dir, options.keep_bytes)?;
        let listen = |port: u16| {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let listener = bind(address).and_then(|socket| socket.listen(BACKLOG));
            listener.map_err(|error| Error::io(ErrorKind::Listen, step, address, error))
        };
        let url = |listener: &TcpListener| {
            let address =
                listener.local_addr().map_err(|error| Error::io(ErrorKind::Listen, step, "address", error));
            address.map(|address| format!("http://{address}"))
        };
        let api = listen(options.port)?;
        // Clients know the upload hosts of uploads under way by their ports.
        let before = ports_before(&options.dir);
        let host = |index: u32| match before.get(index as usize) {
            Some(&port) => listen(port).or_else(|_| listen(0)),
            None => listen(0),
        };
        let hosts = (0..options.servers).map(host).collect::<Result<Vec<_>, _>>()?;
        note_ports(&options.dir, &hosts)?;
        let servers = hosts.iter().map(url).collect::<Result<Vec<_>, _>>()?;
        let base_url = url(&api)?;
        let settings = Settings {
            checks_slices: options.checks_slices(),
            client_id: options.client_id,
            client_secret: options.client_secret,
            oauth_code: options.oauth_code,
            token_lifetime: options.token_lifetime,
            slice_size: options.slice_size,
        };
        let tokens = Tokens::new(&options.tokens, token_records);
        let service = Arc::new(Service::new(drive, tokens, log, settings, servers, options.faults));
        drop(entered);
        Ok(Self { runtime, service, base_url, api, hosts })
    }

    /// Serves until told to stop.
    fn run(self, stopped: oneshot::Receiver<()>) {
        let Self { runtime, service, api, hosts, .. } = self;
        let never_dies = watch::Sender::new(true);
        runtime.spawn(accept(service.clone(), Port::Api, api, never_dies.subscribe()));
        for (index, listener) in (0..).zip(hosts) {
            let alive = service.alive[index as usize].subscribe();
            runtime.spawn(accept(service.clone(), Port::Upload(index), listener, alive));
        }
        // An error means that the handle is gone, which is a stop too.
        let _ = runtime.block_on(stopped);
        service.drive.close();
        runtime.shutdown_timeout(STOP_PATIENCE);
        service.drive.unlock();
    }
}

/// The ports of the upload hosts of the emulator that had this folder before.
fn ports_before(dir: &Path) -> Vec<u16> {
    let text = fs::read_to_string(dir.join(PORTS)).unwrap_or_default();
    text.lines().map_while(|line| line.parse().ok()).collect()
}

fn note_ports(dir: &Path, hosts: &[TcpListener]) -> Result<(), Error> {
    let ports: String =
        hosts.iter().filter_map(|host| host.local_addr().ok()).map(|it| format!("{}\n", it.port())).collect();
    let path = dir.join(PORTS);
    fs::write(&path, ports).map_err(Error::storage("note ports", &path))
}

fn bind(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // A dead host comes back on its port while old connections linger. Windows would let others share the port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Takes connections while the port is alive; keeps the port, but does not listen, while it is dead.
async fn accept(service: Arc<Service>, port: Port, listener: TcpListener, mut alive: watch::Receiver<bool>) {
    let Ok(address) = listener.local_addr() else { return };
    let note = |is_listening| {
        if let Port::Upload(server) = port {
            service.note_listening(server, is_listening);
        }
    };
    let mut listener = Some(listener);
    loop {
        if let Some(open) = listener.take_if(|_| *alive.borrow_and_update()) {
            tokio::select! {
                _ = alive.changed() => {}
                accepted = open.accept() => match accepted {
                    Ok((stream, _)) => {
                        tokio::spawn(connection::serve(service.clone(), port, stream, alive.clone()));
                    }
                    // Out of file descriptors, for one: others need time to close theirs.
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept");
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                },
            }
            listener = Some(open);
            continue;
        }
        drop(listener.take());
        // Bound without listening, the port refuses connections and nobody else gets it.
        let placeholder = bind(address);
        note(false);
        if alive.wait_for(|is_alive| *is_alive).await.is_err() {
            return;
        }
        match placeholder.and_then(|socket| socket.listen(BACKLOG)) {
            Ok(reopened) => {
                listener = Some(reopened);
                note(true);
            }
            Err(error) => {
                tracing::error!(%address, %error, "the upload host cannot come back");
                return;
            }
        }
    }
}
