//! The server: connections, and the end of the service.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, watch};

use super::dispatch;
use super::http::app;
use super::service::Service;
use super::settings::Settings;
use crate::{Error, Result};

/// A client that does not send its request's head in this time is disconnected.
const HEAD: Duration = Duration::from_secs(30);
/// At the end, connections have this long for the answers that they have begun.
const LAST: Duration = Duration::from_secs(5);
/// After an accept that failed, as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A service that is ready to serve.
pub struct Server {
    service: Arc<Service>,
    listener: TcpListener,
    stop: watch::Sender<bool>,
}

/// Ends a server from another thread.
#[derive(Clone)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// The server accepts no more jobs, finishes those in progress and ends.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Server {
    /// Opens a service and its address. Jobs that an earlier service has accepted and not done are begun at once.
    ///
    /// # Errors
    /// [`Error::Input`] for an address that others can reach without tokens, or that cannot be used; those of the folders and of
    /// the engine.
    pub fn open(settings: Settings, address: SocketAddr) -> Result<Self> {
        if !address.ip().is_loopback() && settings.tokens.is_none() {
            return Err(Error::input(format!(
                "--listen {address}: others can reach this address; give --token-file, or listen on 127.0.0.1"
            )));
        }
        let listener = TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|cause| {
                Error::input(format!("--listen {address}: {cause}; choose another address, or port 0 for a free one"))
            })?;
        Ok(Self { service: Service::open(settings)?, listener, stop: watch::Sender::new(false) })
    }

    /// The address that it listens on: with the port that the system chose, if it was left to the system.
    ///
    /// # Errors
    /// [`Error::Input`] if the system does not tell.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|cause| Error::input(format!("--listen: {cause}")))
    }

    /// The engine that jobs run on.
    pub fn engine(&self) -> &str {
        &self.service.engine
    }

    /// Ends the server from another thread.
    pub fn stopper(&self) -> Stop {
        Stop(self.stop.clone())
    }

    /// Serves until it is stopped. Then jobs in progress are finished for up to `drain`; those that are not wait in the store for
    /// the next start. Returns whether all were finished.
    ///
    /// # Errors
    /// [`Error::Input`] if threads cannot be started.
    pub fn run(self, drain: Duration) -> Result<bool> {
        let failed = |cause: std::io::Error| Error::input(format!("the service cannot start: {cause}"));
        dispatch::start(&self.service).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
        let (router, connections) = (app(&self.service), self.service.settings.limits.connections);
        let stop = self.stop;
        let (listener, ended) = (self.listener, watch::Sender::new(false));
        runtime
            .block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
                let serving = accept(listener, router, connections, ended.subscribe());
                let drained = async {
                    let mut stopped = stop.subscribe();
                    // An error means that nobody can stop it any more.
                    let _ = stopped.wait_for(|&stopped| stopped).await;
                    let service = Arc::clone(&self.service);
                    // Until jobs in progress are done, clients can still follow them.
                    let drained = tokio::task::spawn_blocking(move || service.drain(drain)).await.unwrap_or(false);
                    ended.send_replace(true);
                    drained
                };
                let ((), drained) = tokio::join!(serving, drained);
                Ok(drained)
            })
            .inspect(|_| runtime.shutdown_timeout(LAST))
    }
}

/// Answers connections until the service has ended, and then those that are open for a while longer.
async fn accept(listener: tokio::net::TcpListener, router: Router, most: usize, mut ended: watch::Receiver<bool>) {
    let turns = Arc::new(Semaphore::new(most));
    loop {
        let next = async {
            let turn = Arc::clone(&turns).acquire_owned().await;
            (turn, listener.accept().await)
        };
        let (turn, accepted) = tokio::select! {
            next = next => next,
            _ = ended.wait_for(|&ended| ended) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(cause) => {
                log::warn!("a connection cannot be accepted: {cause}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Small answers go out at once.
        let _ = stream.set_nodelay(true);
        let (router, mut ended) = (router.clone(), ended.clone());
        tokio::spawn(async move {
            let _turn = turn;
            let service = TowerToHyperService::new(router);
            let mut server = http1::Builder::new();
            let connection = server.timer(TokioTimer::new()).header_read_timeout(HEAD);
            let connection = connection.serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            tokio::select! {
                // A client that goes away is nobody's error.
                _ = connection.as_mut() => return,
                _ = ended.wait_for(|&ended| ended) => {}
            }
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(LAST, connection).await;
        });
    }
    // Whoever holds a turn has a connection that is still open.
    let _ = tokio::time::timeout(LAST, turns.acquire_many(u32::try_from(most).unwrap_or(u32::MAX))).await;
}
