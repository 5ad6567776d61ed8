//! Signs requests as Standard Webhooks has it, so that a receiver can tell that they are ours, and
//! that it has had one already.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};

use super::{Context, Refusal, RefusalReason};
use crate::files::SecretSource;
use crate::model::{Problem, Secret};

/// What a secret begins with that is written in base64.
const PREFIX: &str = "whsec_";

/// Signs requests, with every key of which the receiver may have only one: so it can be changed.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    /// Where the keys are, and by which setting.
    keys: Vec<(&'static str, SecretSource)>,
    context: Context,
}

impl Signer {
    /// Signs with the keys that these sources have, the current one first.
    pub(super) fn new(
        keys: Vec<(&'static str, SecretSource)>,
        context: &Context,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let context = context.clone();
        let signer = Self { keys, context };
        for (field, source) in &signer.keys {
            if let Err(why) = signer.key(source) {
                problems.push(Problem::of_host(*field, why));
            }
        }
        signer
    }

    /// The headers for a request with this id and body, made now.
    pub(super) fn headers(&self, id: &str, body: &[u8]) -> Result<HeaderMap, Refusal> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = now.map_or(0, |since| since.as_secs());
        let local = |why: String| Refusal::new(RefusalReason::Local, why);
        let keys = self.keys.iter().map(|(_, source)| self.key(source));
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(local)?;
        let mut headers = HeaderMap::new();
        let mut insert = |name: &'static str, text: &str| {
            let value = HeaderValue::from_str(text).map_err(|why| local(why.to_string()))?;
            headers.insert(name, value);
            Ok(())
        };
        insert("webhook-id", id)?;
        insert("webhook-timestamp", &seconds.to_string())?;
        if !keys.is_empty() {
            insert("webhook-signature", &signatures(&keys, id, seconds, body))?;
        }
        Ok(headers)
    }

    fn key(&self, source: &SecretSource) -> Result<hmac::Key, String> {
        key_of(&self.context.files.secret_from(source)?)
    }
}

fn key_of(secret: &Secret) -> Result<hmac::Key, String> {
    let text = secret.expose();
    let bytes = match text.strip_prefix(PREFIX) {
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|_| format!("what follows {PREFIX} in the secret is not base64"))?,
        None => text.as_bytes().to_vec(),
    };
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn signatures(keys: &[hmac::Key], id: &str, seconds: u64, body: &[u8]) -> String {
    let signatures = keys.iter().map(|key| {
        let mut signed = hmac::Context::with_key(key);
        signed.update(format!("{id}.{seconds}.").as_bytes());
        signed.update(body);
        format!("v1,{}", STANDARD.encode(signed.sign()))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the documentation of Standard Webhooks' libraries.
    #[test]
    fn a_signature_is_that_of_other_libraries() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let key = key_of(&secret).expect("a key");
        let body = br#"{"test": 2432232314}"#;
        let signed = signatures(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_is_not_base64_is_refused_without_it() {
        let error = key_of(&Secret::new("whsec_hunter2!".to_owned())).expect_err("no key");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
