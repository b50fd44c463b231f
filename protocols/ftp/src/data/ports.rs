//! The ports of passive data connections, shared fairly: a source (an IPv4 address or an IPv6 /64) holds at most as many ports
//! as are still free, so that a single one can take half of them and no more, and newcomers always find one.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use causeway_core::identity::source_of;

/// The pool.
#[derive(Debug)]
pub(crate) struct Ports {
    range: RangeInclusive<u16>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    ports: BTreeSet<u16>,
    by: HashMap<IpAddr, usize>,
    /// Where the next search begins, so that a port rests before it is used again.
    next: u16,
}

/// A port that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    ports: Arc<Ports>,
    port: u16,
    by: IpAddr,
}

impl Lease {
    /// The port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut taken = self.ports.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.ports.remove(&self.port);
        if let Some(held) = taken.by.get_mut(&self.by) {
            *held -= 1;
            if *held == 0 {
                taken.by.remove(&self.by);
            }
        }
    }
}

impl Ports {
    /// Of this range. `start`: where the first search begins.
    pub(crate) fn new(range: RangeInclusive<u16>, start: u16) -> Arc<Self> {
        let taken = Taken { next: start, ..Taken::default() };
        Arc::new(Self { range, taken: Mutex::new(taken) })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// Takes a port for an address; none where its source has its share, or none is left.
    pub(crate) fn take(self: &Arc<Self>, by: IpAddr) -> Option<Lease> {
        let by = source_of(by);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.range.len().checked_sub(taken.ports.len())?;
        if taken.by.get(&by).copied().unwrap_or_default() >= free {
            return None;
        }
        let (first, last) = (*self.range.start(), *self.range.end());
        let begin = taken.next.clamp(first, last);
        let port = (begin..=last).chain(first..begin).find(|port| !taken.ports.contains(port))?;
        taken.next = if port == last { first } else { port + 1 };
        taken.ports.insert(port);
        *taken.by.entry(by).or_default() += 1;
        Some(Lease { ports: self.clone(), port, by })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_takes_half_and_a_newcomer_finds_a_port() {
        let ports = Ports::new(50000..=50099, 0);
        let (greedy, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let held: Vec<Lease> = std::iter::from_fn(|| ports.take(greedy)).collect();
        assert_eq!(held.len(), 50);
        let more: Vec<Lease> = std::iter::from_fn(|| ports.take(other)).collect();
        assert_eq!(more.len(), 25);
        assert!(ports.take("192.0.2.3".parse().unwrap()).is_some());
        drop(held);
        assert!(ports.take(greedy).is_some());
    }

    #[test]
    fn one_client_of_many_addresses_is_one() {
        let ports = Ports::new(50000..=50099, 0);
        let held: Vec<Lease> =
            (0..100u16).filter_map(|n| ports.take(format!("2001:db8:0:1::{n:x}").parse().unwrap())).collect();
        assert_eq!(held.len(), 50);
        assert!(ports.take("2001:db8:0:2::1".parse().unwrap()).is_some());
    }

    #[test]
    fn a_port_rests_before_it_is_used_again() {
        let ports = Ports::new(10..=13, 12);
        let ip = "192.0.2.1".parse().unwrap();
        let seen: Vec<u16> = (0..5).map(|_| ports.take(ip).unwrap().port()).collect();
        assert_eq!(seen, [12, 13, 10, 11, 12]);
        let one = Ports::new(7..=7, 0);
        let lease = one.take(ip).unwrap();
        assert!(one.take(ip).is_none());
        drop(lease);
        assert!(one.take(ip).is_some());
    }
}
