//! Those who abuse the server, all from this host, by many addresses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::daemon::{Daemon, plain};

/// Those who keep connections; each address has 25 of them.
const MANY: u16 = 1_000;
const OF_AN_ADDRESS: u16 = 25;

/// Those who connect again and again, and how often all of them do in a second.
const QUICK: u16 = 100;
const FLOOD: u32 = 10_000;

const PAGE: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[derive(Clone, Copy)]
pub(crate) enum Attack {
    None,
    /// Connections that are closed as soon as they stand.
    Connections,
    /// Whole pages, without compression, by a thousand at once.
    Scrapes,
    /// Headers that are never whole, byte by byte.
    SlowHeaders,
    /// Pages that are hardly read.
    SlowReaders,
    /// Handshakes that the client leaves when the server has done its part.
    Handshakes,
    /// Silence instead of a handshake.
    Silence,
}

impl Attack {
    /// Those that make sense.
    pub(crate) fn of(tls: bool) -> &'static [Self] {
        if tls {
            return &[Self::None, Self::Handshakes, Self::Silence];
        }
        &[
            Self::None,
            Self::Connections,
            Self::Scrapes,
            Self::SlowHeaders,
            Self::SlowReaders,
        ]
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Connections => "connections",
            Self::Scrapes => "1000 scrapes",
            Self::SlowHeaders => "1000 slow headers",
            Self::SlowReaders => "1000 slow readers",
            Self::Handshakes => "TLS handshakes",
            Self::Silence => "1000 silent in TLS",
        }
    }

    pub(crate) fn start(self, daemon: &Daemon) -> Attackers {
        let mut attackers = Attackers::default();
        let number = match self {
            Self::None => 0,
            Self::Connections | Self::Handshakes => QUICK,
            _ => MANY,
        };
        let hello: Arc<[u8]> = daemon.hello().into();
        for n in 0..number {
            let attacker = Attacker {
                attack: self,
                to: daemon.address,
                from: [
                    127,
                    1,
                    0,
                    u8::try_from(n / OF_AN_ADDRESS).expect("below 40") + 1,
                ],
                hello: Arc::clone(&hello),
                times: Arc::clone(&attackers.times),
            };
            attackers.tasks.spawn(attacker.go_on());
        }
        attackers
    }
}

/// Those of one attack.
#[derive(Default)]
pub(crate) struct Attackers {
    tasks: JoinSet<()>,
    times: Arc<AtomicU32>,
}

impl Attackers {
    /// Ends the attack; how often something was tried.
    pub(crate) async fn stop(&mut self) -> u32 {
        let times = self.times.load(Ordering::Relaxed);
        self.tasks.shutdown().await;
        times
    }
}

struct Attacker {
    attack: Attack,
    to: SocketAddr,
    from: [u8; 4],
    hello: Arc<[u8]>,
    times: Arc<AtomicU32>,
}

impl Attacker {
    async fn go_on(self) {
        let pause = Duration::from_secs(1) * u32::from(QUICK) / FLOOD;
        let mut next = Instant::now();
        loop {
            let again = async {
                let mut stream = plain(self.to, self.from).await?;
                // Gone at once when it is closed: no port of this host waits.
                stream.set_zero_linger()?;
                self.times.fetch_add(1, Ordering::Relaxed);
                self.once(&mut stream).await
            };
            if again.await.is_err() {
                // Refused, most likely: a moment later they are here again.
                sleep(Duration::from_millis(20)).await;
            }
            if matches!(self.attack, Attack::Connections | Attack::Handshakes) {
                next += pause;
                sleep_until(next).await;
            }
        }
    }

    async fn once(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let mut some = vec![0; 64 * 1024];
        match self.attack {
            Attack::None | Attack::Connections => {}
            Attack::Scrapes => {
                stream.write_all(PAGE).await?;
                while stream.read(&mut some).await? > 0 {}
            }
            Attack::SlowHeaders => {
                stream.write_all(b"GET / HTTP/1.1\r\nx: ").await?;
                loop {
                    stream.write_all(b"a").await?;
                    sleep(Duration::from_millis(200)).await;
                }
            }
            Attack::SlowReaders => {
                stream.write_all(PAGE).await?;
                while stream.read(&mut some[..256]).await? > 0 {
                    sleep(Duration::from_millis(200)).await;
                }
            }
            Attack::Handshakes => {
                stream.write_all(&self.hello).await?;
                let _ = stream.read(&mut some).await?;
            }
            Attack::Silence => {
                let _ = stream.read(&mut some).await?;
            }
        }
        Ok(())
    }
}
