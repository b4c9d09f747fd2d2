//! A partition that leaves for another host, and what it finds there.

use super::*;

const P: PartitionId = PartitionId(1);

fn tickets(fx: &Effects) -> Vec<u64> {
    fx.replies.iter().map(|reply| reply.ticket.0).collect()
}

#[test]
fn a_partition_leaves_with_all_that_it_made_handed_over_and_its_gate_opens_behind_the_barrier_of_its_next_host() {
    for causality in BOTH {
        let mut rig = Rig::new(causality);
        rig.request(1, 1, 5);
        assert!(rig.hosting.must_submit_before(P));
        rig.submit();
        assert!(!rig.hosting.must_submit_before(P));
        let Departure::Hosted(hosted) = rig.hosting.depart(P) else { panic!("it is not here") };
        assert_eq!((hosted.in_hand(), rig.hosting.place(P)), (1, Place::Away));
        let (mut next, mut fx) = (Hosting::new(partitions(), causality), Effects::default());
        let Submission { log, batch, upto } = next.arrive(hosted);
        assert!(batch.is_empty() && upto == [(P, 2)], "{upto:?}");
        next.fly(log, 1, upto);
        assert!(!next.is_durable(P), "what it made before is on its way");
        rig.land_all();
        assert!(tickets(&rig.fx).is_empty(), "a notice of its former host is nothing to it");
        for (id, seq) in next.landed(log, 1).unwrap() {
            next.step(NOW, id, Input::Durable(seq), &mut fx);
        }
        assert_eq!((tickets(&fx), next.get(P).unwrap().in_hand()), (vec![1], 0));
    }
}

#[test]
fn a_partition_that_comes_back_to_where_it_was_is_handed_over_from_where_it_stopped() {
    let mut rig = Rig::new(Causality::OneLog);
    rig.request(1, 1, 5);
    rig.submit();
    let Departure::Hosted(hosted) = rig.hosting.depart(P) else { panic!("it is not here") };
    let barrier = rig.hosting.arrive(hosted);
    rig.log.push((barrier.log, barrier.batch));
    rig.hosting.fly(barrier.log, rig.log.len() as u64, barrier.upto);
    rig.request(1, 2, 6);
    rig.submit();
    rig.land_all();
    assert_eq!(tickets(&rig.fx), [1, 2]);
    assert_eq!(rig.fold(P).hash(), rig.hosting.get(P).unwrap().partition.hash());
}

#[test]
#[should_panic(expected = "leaves without all that it made")]
fn a_partition_does_not_leave_before_what_it_made_is_handed_over() {
    let mut rig = Rig::new(Causality::OneLog);
    rig.request(1, 1, 5);
    rig.hosting.depart(P);
}

#[test]
fn what_waits_for_a_partition_that_comes_back_elsewhere_is_passed_on() {
    let mut rig = Rig::new(Causality::OneLog);
    rig.step(1, poison(1, 1));
    let message = Input::Message(reserve(1, 2, NOW));
    rig.step(1, message.clone());
    let Departure::Returning(waiting) = rig.hosting.depart(P) else { panic!("it is not awaited") };
    assert_eq!((waiting, rig.hosting.place(P)), (vec![(NOW, message)], Place::Away));
    assert!(matches!(rig.hosting.depart(P), Departure::Away), "asked again, there is nothing");
}

#[test]
#[should_panic(expected = "comes to where it is")]
fn a_partition_does_not_come_to_where_it_is() {
    let (mut one, mut other) = (Rig::new(Causality::OneLog), Rig::new(Causality::OneLog));
    let Departure::Hosted(hosted) = other.hosting.depart(P) else { panic!("it is not here") };
    let _barrier = one.hosting.arrive(hosted);
}

#[test]
fn the_deadline_of_a_partition_that_comes_is_met_where_it_is() {
    let mut rig = Rig::new(Causality::OneLog);
    rig.step(1, Input::Message(reserve(1, 1, NOW.plus(500))));
    rig.submit();
    let Departure::Hosted(hosted) = rig.hosting.depart(P) else { panic!("it is not here") };
    let mut next = Hosting::new(partitions(), Causality::OneLog);
    let due = hosted.partition.next_deadline();
    assert!(due.is_some());
    let _barrier = next.arrive(hosted);
    assert_eq!(next.soonest, due);
}
