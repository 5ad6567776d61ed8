//! Looks through the server's messages before the driver does.
//!
//! The driver believes any length that a message announces, and answers whatever way to prove the
//! password the server asks for. Both are for the server to choose, so they are judged here, on the
//! bytes as they pass.

use crate::model::{Failure, Reason};

/// Type, length, and the number that says which request of the login it is.
const HEADER: usize = 9;
/// Type and length.
const PREFIX: usize = 5;
/// `AuthenticationSASLContinue` has a nonce, a salt and a number: far fewer bytes than this.
const MAX_CHALLENGE: usize = 1024;

/// Bytes of `ParameterStatus` in one session. The driver keeps them all, for as long as the session
/// lasts. A server reports some 500 bytes after the login, and later only what changes.
const MAX_PARAMETERS: usize = 64 << 10;
const PARAMETER: u8 = b'S';

/// What may come before the login is granted: a request, an error, a notice, another version.
const LOGIN_TYPES: [u8; 4] = *b"RENv";
const LOGIN_OK: u32 = 0;
const CLEARTEXT_PASSWORD: u32 = 3;
const MD5_PASSWORD: u32 = 5;
const SASL_CONTINUE: u32 = 11;

/// What a server may ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The longest message, in bytes.
    pub message: u32,
    /// Rounds of hashing to prove the password. They keep a thread that serves other runs: some
    /// 0.25 ms for each thousand.
    pub scram_iterations: u32,
    /// The password in clear or as its MD5 hash.
    pub exposed_password: bool,
}

/// Follows the messages of one session.
#[derive(Debug)]
pub(super) struct Screen {
    limits: Limits,
    logged_in: bool,
    /// The start of the current message, as far as it was seen.
    header: [u8; HEADER],
    seen: usize,
    /// Bytes of the current message that are still to come after its header.
    rest: u32,
    /// Bytes of the parameters that were reported.
    parameters: usize,
    /// The body of a challenge, whose rounds are read once it is complete.
    challenge: Option<Vec<u8>>,
}

impl Screen {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            logged_in: false,
            header: [0; HEADER],
            seen: 0,
            rest: 0,
            parameters: 0,
            challenge: None,
        }
    }

    /// Takes the next bytes from the server, however they are cut.
    pub(super) fn see(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            if self.rest > 0 {
                bytes = self.pass_body(bytes)?;
                continue;
            }
            self.header[self.seen] = bytes[0];
            self.seen += 1;
            bytes = &bytes[1..];
            self.see_header()?;
        }
        Ok(())
    }

    fn pass_body<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
        let taken = bytes.len().min(self.rest as usize);
        let (body, after) = bytes.split_at(taken);
        // No longer than `rest`, which is a u32.
        self.rest -= u32::try_from(taken).unwrap_or(self.rest);
        if let Some(challenge) = &mut self.challenge {
            challenge.extend_from_slice(body);
            if self.rest == 0 {
                judge_rounds(challenge, self.limits.scram_iterations)?;
                self.challenge = None;
            }
        }
        Ok(after)
    }

    fn see_header(&mut self) -> Result<(), Failure> {
        if self.seen < PREFIX {
            return Ok(());
        }
        let length = self.number_at(1);
        if self.seen == PREFIX {
            if !self.logged_in && !LOGIN_TYPES.contains(&self.header[0]) {
                return Err(Failure::new(
                    Reason::Protocol,
                    "what came is no message of a PostgreSQL login",
                ));
            }
            if length < 4 {
                return Err(Failure::new(
                    Reason::Protocol,
                    format_args!("a message of {length} bytes cannot be"),
                ));
            }
            if length > self.limits.message {
                return Err(Failure::new(
                    Reason::TooLarge,
                    format_args!(
                        "the server announced a message of {length} bytes, more than {}",
                        self.limits.message
                    ),
                ));
            }
        }
        // The length counts itself, not the type.
        let whole = length as usize + 1;
        if self.seen == PREFIX && self.header[0] == PARAMETER {
            self.parameters += whole;
            if self.parameters > MAX_PARAMETERS {
                return Err(Failure::new(
                    Reason::TooLarge,
                    format_args!(
                        "the server reported parameters of more than {MAX_PARAMETERS} bytes"
                    ),
                ));
            }
        }
        if self.is_login_request() && whole >= HEADER {
            if self.seen < HEADER {
                return Ok(());
            }
            self.judge_login(self.number_at(PREFIX), whole - HEADER)?;
        }
        self.rest = u32::try_from(whole - self.seen).unwrap_or(self.limits.message);
        self.seen = 0;
        Ok(())
    }

    fn is_login_request(&self) -> bool {
        !self.logged_in && self.header[0] == b'R'
    }

    fn judge_login(&mut self, request: u32, body: usize) -> Result<(), Failure> {
        match request {
            LOGIN_OK => self.logged_in = true,
            CLEARTEXT_PASSWORD | MD5_PASSWORD if !self.limits.exposed_password => {
                let way = if request == MD5_PASSWORD {
                    "as an MD5 hash"
                } else {
                    "in clear"
                };
                return Err(Failure::new(
                    Reason::Auth,
                    format_args!(
                        "not sent: an unverified server asked for the password {way}; \
                         use scram-sha-256 there, tls: verify-full here, or allow_cleartext: true"
                    ),
                ));
            }
            SASL_CONTINUE if body > MAX_CHALLENGE => {
                return Err(Failure::new(
                    Reason::Protocol,
                    format_args!("a SCRAM challenge of {body} bytes"),
                ));
            }
            SASL_CONTINUE if body > 0 => self.challenge = Some(Vec::with_capacity(body)),
            _ => {}
        }
        Ok(())
    }

    fn number_at(&self, at: usize) -> u32 {
        self.header[at..at + 4]
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte))
    }
}

/// Refuses a challenge (`r=…,s=…,i=4096`) that would keep this thread busy. One that cannot be
/// read is left to the driver, which refuses it too.
fn judge_rounds(challenge: &[u8], most: u32) -> Result<(), Failure> {
    let rounds = challenge
        .split(|byte| *byte == b',')
        .find_map(|field| field.strip_prefix(b"i="))
        .and_then(|digits| std::str::from_utf8(digits).ok());
    match rounds.map(str::parse::<u32>) {
        Some(Ok(rounds)) if rounds > most => Err(Failure::new(
            Reason::Protocol,
            format_args!(
                "the server asked for {rounds} SCRAM iterations, more than {most}; \
                 if it is meant to, raise max_scram_iterations"
            ),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("short");
        [&[tag], &length.to_be_bytes()[..], body].concat()
    }

    fn login(request: u32, body: &[u8]) -> Vec<u8> {
        message(b'R', &[&request.to_be_bytes()[..], body].concat())
    }

    fn whole_login() -> Vec<u8> {
        [
            login(10, b"SCRAM-SHA-256\0\0"),
            login(SASL_CONTINUE, b"r=abc,s=c2FsdA==,i=4096"),
            login(12, b"v=c2ln"),
            login(LOGIN_OK, b""),
            message(b'S', b"server_version\x0015.4\0"),
            message(b'Z', b"I"),
            message(b'I', b""),
            message(b'R', &CLEARTEXT_PASSWORD.to_be_bytes()),
        ]
        .concat()
    }

    fn screen() -> Screen {
        Screen::new(Limits {
            message: 1000,
            scram_iterations: 20_000,
            exposed_password: false,
        })
    }

    fn reason(bytes: &[u8]) -> Option<Reason> {
        screen().see(bytes).err().map(|f| f.reason)
    }

    #[test]
    fn a_session_reports_only_so_many_parameters() {
        let mut screen = Screen::new(Limits {
            message: 1 << 20,
            scram_iterations: 1,
            exposed_password: false,
        });
        screen.see(&message(b'R', &[0; 4])).expect("logged in");
        let parameter = message(PARAMETER, b"a\0b\0");
        for _ in 0..MAX_PARAMETERS / parameter.len() {
            screen.see(&parameter).expect("few");
            screen.see(&message(b'Z', b"I")).expect("of no concern");
        }
        let failure = screen.see(&parameter).expect_err("many");
        assert_eq!(failure.reason, Reason::TooLarge);
    }

    #[test]
    fn a_login_as_it_should_be_passes() {
        assert_eq!(reason(&whole_login()), None);
    }

    #[test]
    fn the_password_is_not_given_away_unless_allowed() {
        for request in [CLEARTEXT_PASSWORD, MD5_PASSWORD] {
            let bytes = login(request, b"salt");
            assert_eq!(reason(&bytes), Some(Reason::Auth));
            let mut allowing = screen();
            allowing.limits.exposed_password = true;
            assert_eq!(allowing.see(&bytes), Ok(()));
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_before_their_body() {
        assert_eq!(reason(b"E\x7f\xff\xff\xff"), Some(Reason::TooLarge));
        assert_eq!(reason(b"N\xff\xff\xff\xff"), Some(Reason::TooLarge));
        assert_eq!(reason(b"E\0\0\0\x03"), Some(Reason::Protocol));
        assert_eq!(reason(b"HTTP/1.1 400 Bad Request"), Some(Reason::Protocol));
        assert_eq!(reason(b"R\0\0\0\x04"), None, "left to the driver");
    }

    #[test]
    fn endless_hashing_is_refused() {
        for (rounds, expected) in [
            ("4096", None),
            ("20000", None),
            ("20001", Some(Reason::Protocol)),
            ("2147483648", Some(Reason::Protocol)),
            ("99999999999", None), // the driver refuses what is no number of 32 bits
        ] {
            let challenge = format!("r=abc,s=c2FsdA==,i={rounds}");
            assert_eq!(
                reason(&login(SASL_CONTINUE, challenge.as_bytes())),
                expected,
                "{rounds}"
            );
        }
        let mut roomy = screen();
        roomy.limits.message = 10_000;
        let long = login(SASL_CONTINUE, &[b'x'; MAX_CHALLENGE + 1]);
        let failure = roomy.see(&long[..HEADER]).expect_err("refused");
        assert_eq!(failure.reason, Reason::Protocol);
    }

    proptest! {
        /// However the network cuts the bytes, and whatever they are, the verdict is the same.
        #[test]
        fn cuts_do_not_matter(
            mut bytes in prop_oneof![
                Just(whole_login()),
                Just(login(MD5_PASSWORD, b"salt")),
                Just(login(SASL_CONTINUE, b"r=a,s=b,i=999999")),
                proptest::collection::vec(any::<u8>(), 0..200),
            ],
            flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            sizes in proptest::collection::vec(1_usize..20, 1..40),
        ) {
            for (at, value) in flips {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = value;
                }
            }
            let mut cut = screen();
            let mut rest = &bytes[..];
            let mut verdict = Ok(());
            for size in sizes.iter().cycle() {
                if rest.is_empty() || verdict.is_err() {
                    break;
                }
                let (piece, after) = rest.split_at((*size).min(rest.len()));
                verdict = cut.see(piece);
                rest = after;
            }
            prop_assert_eq!(verdict, screen().see(&bytes));
        }
    }
}
