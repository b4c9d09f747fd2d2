//! Sessions: who has shown a key to the console, and how long that counts.
//!
//! Pure but for the random bytes of a new one: time comes with each call. Invariants: the secret of a session is in its cookie alone, here
//! is its hash; a session ends when it rests for too long, when it is too old, when somebody signs out, and with its key; there are no
//! more than [`MOST`].

use crate::keys::{ApiKeys, Known, Role};
use data_encoding::BASE64URL_NOPAD;
use holdfast_engine::ids::KeyName;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a session counts at most.
pub const LIFE: Duration = Duration::from_secs(8 * 3600);
/// Sessions at once. One more ends the one that has rested longest.
const MOST: usize = 1_000;

type Hash = [u8; 32];

/// Who uses the console.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The name of the key; `None` where there are no keys, or it has none.
    pub name: Option<KeyName>,
    pub role: Role,
    /// `None` where there are no keys.
    pub session: Option<SessionId>,
}

impl Operator {
    /// Whoever reaches a server without keys.
    pub fn anybody() -> Self {
        Self { name: None, role: Role::Admin, session: None }
    }

    /// Whether it may change anything.
    pub fn acts(&self) -> bool {
        self.role == Role::Admin
    }
}

/// Identifies a session without its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(Hash);

pub struct Sessions {
    idle: Duration,
    open: Mutex<HashMap<SessionId, Session>>,
}

struct Session {
    key: Known,
    begun: Instant,
    used: Instant,
}

impl Session {
    fn is_over(&self, idle: Duration, now: Instant) -> bool {
        now.duration_since(self.used) >= idle || now.duration_since(self.begun) >= LIFE
    }
}

impl Sessions {
    pub fn new(idle: Duration) -> Self {
        Self { idle, open: Mutex::default() }
    }

    /// Opens a session for the owner of a key. Returns its secret, for the cookie.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn open(&self, key: &Known, now: Instant) -> Result<String, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let secret = BASE64URL_NOPAD.encode(&bytes);
        let mut open = self.lock();
        open.retain(|_, session| !session.is_over(self.idle, now));
        if open.len() >= MOST {
            let rested = open.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| *id);
            rested.and_then(|id| open.remove(&id));
        }
        open.insert(id_of(&secret), Session { key: key.clone(), begun: now, used: now });
        Ok(secret)
    }

    /// Who comes with the secret of a session, which is used by this.
    pub fn operator(&self, secret: &str, keys: &ApiKeys, now: Instant) -> Option<Operator> {
        let id = id_of(secret);
        if !self.counts(id, keys, now) {
            return None;
        }
        let mut open = self.lock();
        let session = open.get_mut(&id)?;
        session.used = now;
        Some(Operator { name: session.key.name.clone(), role: session.key.role, session: Some(id) })
    }

    /// Whether a session counts. It is not used by this.
    pub fn counts(&self, id: SessionId, keys: &ApiKeys, now: Instant) -> bool {
        let mut open = self.lock();
        let counts = open.get(&id).is_some_and(|session| !session.is_over(self.idle, now) && keys.has(&session.key));
        if !counts {
            open.remove(&id);
        }
        counts
    }

    pub fn close(&self, id: SessionId) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Random bytes need no slow hash.
fn id_of(secret: &str) -> SessionId {
    SessionId(*blake3::hash(secret.as_bytes()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{self, Keys};

    const IDLE: Duration = Duration::from_secs(1800);

    struct World {
        sessions: Sessions,
        keys: std::sync::Arc<ApiKeys>,
        key: Known,
        begun: Instant,
    }

    fn world() -> World {
        let made = keys::create("ops", None, Role::Viewer).unwrap();
        let keys = Keys::load(std::slice::from_ref(&made.entry), None).unwrap().now().clone().unwrap();
        let key = keys.find(&made.secret).unwrap().clone();
        World { sessions: Sessions::new(IDLE), keys, key, begun: Instant::now() }
    }

    impl World {
        fn opened(&self) -> String {
            self.sessions.open(&self.key, self.begun).unwrap()
        }

        fn counts(&self, secret: &str, after: Duration) -> bool {
            self.sessions.operator(secret, &self.keys, self.begun + after).is_some()
        }
    }

    #[test]
    fn a_session_has_the_role_of_its_key_and_no_other_secret_opens_it() {
        let world = world();
        let secret = world.opened();
        let operator = world.sessions.operator(&secret, &world.keys, world.begun).unwrap();
        assert_eq!((operator.acts(), operator.role, operator.name), (false, Role::Viewer, KeyName::new("ops")));
        for wrong in ["", "x", &secret[1..], &secret.to_uppercase()] {
            assert!(!world.counts(wrong, Duration::ZERO), "{wrong}");
        }
        assert_ne!(secret, world.opened());
    }

    #[test]
    fn a_session_ends_when_it_rests_and_when_it_is_old() {
        let (second, almost) = (Duration::from_secs(1), IDLE - Duration::from_secs(1));
        let world = world();
        let used = world.opened();
        let mut after = Duration::ZERO;
        while after < LIFE {
            assert!(world.counts(&used, after), "{after:?}");
            after += almost;
        }
        assert!(!world.counts(&used, LIFE), "it is too old");
        let rested = world.opened();
        assert!(!world.counts(&rested, IDLE) && !world.counts(&rested, second), "it does not come back");
    }

    #[test]
    fn looking_whether_a_session_counts_does_not_use_it() {
        let world = world();
        let secret = world.opened();
        assert!(world.sessions.counts(id_of(&secret), &world.keys, world.begun + IDLE / 2));
        assert!(!world.counts(&secret, IDLE));
    }

    #[test]
    fn a_session_ends_with_its_key_and_when_somebody_signs_out() {
        let world = world();
        let (one, two) = (world.opened(), world.opened());
        world.sessions.close(id_of(&one));
        assert!(!world.counts(&one, Duration::ZERO) && world.counts(&two, Duration::ZERO));
        let other = keys::create("other", None, Role::Admin).unwrap();
        let others = Keys::load(&[other.entry], None).unwrap().now().clone().unwrap();
        assert!(world.sessions.operator(&two, &others, world.begun).is_none());
        assert!(!world.counts(&two, Duration::ZERO), "a key that comes back does not bring it back");
    }

    #[test]
    fn sessions_are_bounded_and_the_one_that_rested_longest_goes() {
        let world = world();
        let first = world.opened();
        let later = |n: usize| world.begun + Duration::from_millis(1 + n as u64);
        let others: Vec<String> = (0..MOST).map(|n| world.sessions.open(&world.key, later(n)).unwrap()).collect();
        assert_eq!(world.sessions.lock().len(), MOST);
        assert!(!world.counts(&first, Duration::from_secs(2)) && world.counts(&others[0], Duration::from_secs(2)));
    }
}
