//! How the password is proved, in the ways ("plugins") that servers ask for.

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use mysql_common::auth::plugins::client_ed25519::ClientEd25519;
use mysql_common::auth::plugins::{
    ChallengeResponsePlugin, Context, caching_sha2_password::scramble_sha256,
    mysql_native_password::scramble_native,
};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

use super::greeting::CHALLENGE;
use super::session::protocol;
use crate::model::{Failure, Reason, Secret};

/// `caching_sha2_password`: the server knew the answer to its challenge.
const KNOWN: u8 = 3;
/// `caching_sha2_password`: the server wants the password itself.
const WANTED: u8 = 4;
/// `caching_sha2_password`: give me your public key.
const ASK_FOR_KEY: u8 = 2;

/// A way to prove the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plugin {
    /// A challenge, by SHA-1.
    Native,
    /// A challenge, by SHA-256; the password itself where the server has no hash at hand.
    CachingSha2,
    /// A signature (`MariaDB`).
    Ed25519,
    /// The password itself.
    Clear,
}

impl Plugin {
    /// The plugin that servers call so.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"mysql_native_password" => Some(Self::Native),
            b"caching_sha2_password" => Some(Self::CachingSha2),
            b"client_ed25519" => Some(Self::Ed25519),
            b"mysql_clear_password" => Some(Self::Clear),
            _ => None,
        }
    }

    /// Whether a greeting's challenge is one for this plugin.
    pub(super) fn takes_first_challenge(self) -> bool {
        matches!(self, Self::Native | Self::CachingSha2)
    }
}

/// What stands between the password and others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Privacy {
    /// The session is inside TLS.
    pub(super) encrypted: bool,
    /// The password may be given to this server: someone vouches for it, or the operator said so.
    pub(super) trusted: bool,
}

/// One proof under way.
#[derive(Debug)]
pub(super) struct Proof<'a> {
    password: &'a [u8],
    privacy: Privacy,
    plugin: Plugin,
    challenge: Vec<u8>,
    asked_for_key: bool,
}

impl<'a> Proof<'a> {
    /// Begins with the server's challenge; also what to answer it.
    pub(super) fn begin(
        plugin: Plugin,
        challenge: &[u8],
        password: Option<&'a Secret>,
        privacy: Privacy,
    ) -> Result<(Self, Vec<u8>), Failure> {
        // A challenge is random without zeros; servers put one behind it.
        let challenge = match plugin {
            Plugin::Native | Plugin::CachingSha2 => {
                challenge.strip_suffix(&[0]).unwrap_or(challenge)
            }
            Plugin::Ed25519 | Plugin::Clear => challenge,
        };
        let proof = Self {
            password: password.map_or("", Secret::expose).as_bytes(),
            privacy,
            plugin,
            challenge: challenge.to_vec(),
            asked_for_key: false,
        };
        let answer = proof.first()?;
        Ok((proof, answer))
    }

    fn first(&self) -> Result<Vec<u8>, Failure> {
        let challenge = || {
            let twenty = <&[u8; CHALLENGE]>::try_from(&*self.challenge);
            twenty.map_err(|_| protocol("the challenge has another length than 20 bytes"))
        };
        match self.plugin {
            // Without a password, no answer is the answer.
            Plugin::Native => {
                let answer = scramble_native(challenge()?, self.password);
                Ok(answer.map(Vec::from).unwrap_or_default())
            }
            Plugin::CachingSha2 => {
                let answer = scramble_sha256(challenge()?, self.password);
                Ok(answer.map(Vec::from).unwrap_or_default())
            }
            Plugin::Ed25519 => {
                let answer = ClientEd25519::default().run(self, &self.challenge);
                let answer =
                    answer.map_err(|why| protocol(format_args!("client_ed25519: {why}")))?;
                Ok(answer.data().unwrap_or_default().to_vec())
            }
            Plugin::Clear => self.in_clear(),
        }
    }

    /// What to answer to more that the server says; nothing if it only goes on.
    pub(super) fn more(&mut self, said: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        match (self.plugin, said) {
            (Plugin::CachingSha2, [KNOWN]) if !self.asked_for_key => Ok(None),
            (Plugin::CachingSha2, [WANTED]) if !self.asked_for_key => {
                if self.privacy.encrypted {
                    return self.in_clear().map(Some);
                }
                self.may_give()?;
                self.asked_for_key = true;
                Ok(Some(vec![ASK_FOR_KEY]))
            }
            (Plugin::CachingSha2, key) if self.asked_for_key => {
                self.asked_for_key = false;
                self.encrypted_for(key).map(Some)
            }
            _ => Err(protocol(
                "the server goes on with the login in no known way",
            )),
        }
    }

    fn in_clear(&self) -> Result<Vec<u8>, Failure> {
        self.may_give()?;
        Ok([self.password, &[0]].concat())
    }

    fn may_give(&self) -> Result<(), Failure> {
        if self.privacy.trusted {
            return Ok(());
        }
        Err(Failure::new(
            Reason::Auth,
            "the server wants the password itself, and nobody vouches for the server: use tls: \
             verify-full or verify-ca, or accept it with allow_cleartext: true",
        ))
    }

    /// The password, for whoever has that key: anyone, which is why it needs trust.
    fn encrypted_for(&self, key: &[u8]) -> Result<Vec<u8>, Failure> {
        let unusable = || protocol("the server's public key cannot be used");
        let key = SubjectPublicKeyInfoDer::from_pem_slice(key).map_err(|_| unusable())?;
        let key = PublicEncryptingKey::from_der(&key).map_err(|_| unusable())?;
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| unusable())?;
        let masked = self.password.iter().chain(&[0]);
        let masked = masked.zip(self.challenge.iter().cycle());
        let masked: Vec<u8> = masked.map(|(a, b)| a ^ b).collect();
        let mut room = vec![0; key.ciphertext_size()];
        let cipher = key.encrypt(&OAEP_SHA1_MGF1SHA1, &masked, &mut room, None);
        Ok(cipher.map_err(|_| unusable())?.to_vec())
    }
}

impl Context for &Proof<'_> {
    fn pass(&self) -> &[u8] {
        self.password
    }

    fn is_ipc_transport(&self) -> bool {
        false
    }

    fn is_tls_transport(&self) -> bool {
        self.privacy.encrypted
    }

    fn scramble(&self) -> &[u8] {
        &self.challenge
    }

    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const TWENTY: &[u8; CHALLENGE] = b"challenge of twenty!";
    const OPEN: Privacy = Privacy {
        encrypted: false,
        trusted: false,
    };
    const TLS: Privacy = Privacy {
        encrypted: true,
        trusted: false,
    };
    const VERIFIED: Privacy = Privacy {
        encrypted: true,
        trusted: true,
    };
    const ALLOWED: Privacy = Privacy {
        encrypted: false,
        trusted: true,
    };

    fn begun(plugin: Plugin, privacy: Privacy) -> Result<(Proof<'static>, Vec<u8>), Failure> {
        let password = Box::leak(Box::new(Secret::new("right".to_owned())));
        Proof::begin(plugin, TWENTY, Some(password), privacy)
    }

    #[test]
    fn the_password_itself_goes_only_to_whom_it_may() {
        for (privacy, given) in [
            (OPEN, false),
            (TLS, false),
            (VERIFIED, true),
            (ALLOWED, true),
        ] {
            let clear = begun(Plugin::Clear, privacy).map(|(_, answer)| answer);
            assert_eq!(
                clear.is_ok_and(|answer| answer == b"right\0"),
                given,
                "{privacy:?}"
            );
            let (mut proof, answer) = begun(Plugin::CachingSha2, privacy).expect("a challenge");
            assert_eq!(answer.len(), 32);
            assert_eq!(proof.more(&[KNOWN]), Ok(None));
            let wanted = proof.more(&[WANTED]);
            assert_eq!(wanted.is_ok(), given, "{privacy:?}: {wanted:?}");
            match wanted {
                Err(failure) => assert_eq!(failure.reason, Reason::Auth),
                Ok(answer) if privacy.encrypted => assert_eq!(answer, Some(b"right\0".to_vec())),
                Ok(answer) => assert_eq!(answer, Some(vec![ASK_FOR_KEY])),
            }
        }
    }

    #[test]
    fn without_tls_the_password_is_encrypted_for_the_servers_key() {
        let secret = PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("key");
        let public: PublicKeyX509Der<'_> = secret.public_key().as_der().expect("DER");
        let text = STANDARD.encode(public.as_ref());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
        let (mut proof, _) = begun(Plugin::CachingSha2, ALLOWED).expect("begun");
        proof.more(&[WANTED]).expect("asks for the key");
        let cipher = proof
            .more(pem.as_bytes())
            .expect("encrypted")
            .expect("an answer");

        let secret = OaepPrivateDecryptingKey::new(secret).expect("key");
        let mut room = vec![0; secret.min_output_size()];
        let plain = secret.decrypt(&OAEP_SHA1_MGF1SHA1, &cipher, &mut room, None);
        let plain: Vec<u8> = plain
            .expect("decrypted")
            .iter()
            .zip(TWENTY)
            .map(|(a, b)| a ^ b)
            .collect();
        assert_eq!(plain, b"right\0");
    }

    #[test]
    fn keys_and_challenges_of_other_forms_are_refused() {
        for key in [
            &b""[..],
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            b"\x03",
        ] {
            let (mut proof, _) = begun(Plugin::CachingSha2, ALLOWED).expect("begun");
            proof.more(&[WANTED]).expect("asks for the key");
            assert_eq!(
                proof.more(key).expect_err("refused").reason,
                Reason::Protocol
            );
        }
        for plugin in [Plugin::Native, Plugin::CachingSha2, Plugin::Ed25519] {
            for challenge in [&b""[..], b"short", &[1; 33], &[0; 21]] {
                let begun = Proof::begin(plugin, challenge, None, VERIFIED);
                let fits = plugin != Plugin::Ed25519 && challenge.len() == 21;
                assert_eq!(begun.is_ok(), fits, "{plugin:?} {challenge:?}");
            }
        }
        let (mut proof, _) = begun(Plugin::Native, VERIFIED).expect("begun");
        assert!(proof.more(&[WANTED]).is_err());
    }

    #[test]
    fn no_password_is_answered_by_nothing() {
        for plugin in [Plugin::Native, Plugin::CachingSha2] {
            let (_, answer) = Proof::begin(plugin, TWENTY, None, OPEN).expect("begun");
            assert_eq!(answer, b"");
        }
    }
}
