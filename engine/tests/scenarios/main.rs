//! Scenarios of the engine, read as rules: given a world, when something happens, then this is so.
//!
//! One binary for all of them. No clock, thread or disk: [`world`] delivers messages in memory and moves time by hand.

#[cfg(test)]
mod archive;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod closing;
#[cfg(test)]
mod complaints;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod draft;
#[cfg(test)]
mod fold;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod numbers;
#[cfg(test)]
mod order_scenarios;
#[cfg(test)]
mod origins;
#[cfg(test)]
mod payment_outcomes;
#[cfg(test)]
mod payment_scenarios;
#[cfg(test)]
mod race;
#[cfg(test)]
mod records;
#[cfg(test)]
mod reservation_scenarios;
#[cfg(test)]
mod stock_holds;
#[cfg(test)]
mod stock_levels;
#[cfg(test)]
mod stock_scenarios;
#[cfg(test)]
mod terms;
#[cfg(test)]
mod world;
