//! Failures on purpose.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pan123_transport::{BoxFuture, Error, ErrorKind, Layer, Request, Response, Transport};

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No connection; nothing is sent.
    Refuse,
    /// It is sent and answered, and the answer is lost.
    LoseAnswer,
    /// It waits for this long, then goes on.
    Delay(Duration),
    /// It is not sent, and this HTTP status with an empty body comes back.
    Status(u16),
}

/// Makes requests fail, by a plan that is asked for each of them. Belongs innermost.
#[derive(Clone)]
pub struct Faults(Arc<Mutex<Plan>>);

type Plan = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

impl Faults {
    /// Asks `plan` what is to go wrong with each request, in the order in which they are sent.
    pub fn new(plan: impl FnMut(&Request) -> Option<Fault> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(plan))))
    }

    /// Fails the given share of requests (0 to 1) with one of `faults`, the same ones for the same seed and order.
    pub fn random(seed: u64, share: f64, faults: &[Fault]) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let faults = faults.to_vec();
        Self::new(move |_| {
            let hit = rng.f64() < share;
            rng.choice(&faults).copied().filter(|_| hit)
        })
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}

impl Layer for Faults {
    fn wrap(&self, inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(Faulty { faults: self.clone(), inner })
    }
}

#[derive(Debug)]
struct Faulty {
    faults: Faults,
    inner: Arc<dyn Transport>,
}

impl Transport for Faulty {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>> {
        let fault = self.faults.0.lock().unwrap_or_else(PoisonError::into_inner)(&request);
        Box::pin(async move {
            match fault {
                None => self.inner.send(request).await,
                Some(Fault::Refuse) => {
                    Err(Error::new(ErrorKind::Connect, "no connection (a fault made on purpose)"))
                }
                Some(Fault::LoseAnswer) => {
                    let body_len = request.body.len();
                    self.inner.send(request).await?;
                    let error =
                        Error::new(ErrorKind::Interrupted, "the answer was lost (a fault made on purpose)");
                    Err(error.at(body_len, Duration::ZERO))
                }
                Some(Fault::Delay(time)) => {
                    tokio::time::sleep(time).await;
                    self.inner.send(request).await
                }
                Some(Fault::Status(status)) => {
                    Ok(Response { status, headers: Vec::new(), body: Default::default(), early: true })
                }
            }
        })
    }
}
