create table customers (
  id text primary key,
  card_id text not null unique,
  name text not null,
  email text,               -- who has none cannot be told by mail
  joined_on text not null,
  phone_changed_on text not null,
  usual_cents integer not null,
  phone text not null       -- the device their app runs on
);

-- One row for each alert that was looked into. `id` is the alert's.
create table cases (
  id text primary key,
  card_id text not null references customers (card_id),
  customer_id text not null references customers (id),
  payment_id text not null,
  opened_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ')),
  action text,              -- what became of it: dismissed, blocked, lifted
  reason text,
  closed_at text
);

-- The first effect. `id` is the run's idempotency key: a request that arrives a second time blocks nothing twice, and
-- `deliveries` counts how often it arrived. A card can be blocked once at a time.
create table blocks (
  id text primary key,
  card_id text not null references customers (card_id),
  case_id text not null references cases (id),
  blocked_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ')),
  lifted_at text,
  deliveries integer not null default 1
);
create unique index one_block_a_card on blocks (card_id) where lifted_at is null;

-- The second effect: the mail that tells a customer. It needs an address, and fails without one.
create table notices (
  id text primary key,
  customer_id text not null references customers (id),
  email text not null check (email <> ''),
  text text not null,
  deliveries integer not null default 1,
  sent_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ'))
);
