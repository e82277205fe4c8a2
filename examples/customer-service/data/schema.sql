-- The bank's own database. Money is in integer cents of the euro.
-- Orchestrion reaches it only through the tools of agents/*.yaml and the last step of the workflow.

create table customers (
  id text primary key,
  name text not null,
  language text not null check (language in ('en', 'de')),
  plan text not null check (plan in ('basic', 'plus')),
  since text not null
);

create table cards (
  id text primary key,
  customer_id text not null references customers (id),
  kind text not null check (kind in ('debit', 'credit')),
  last4 text not null,
  status text not null check (status in ('active', 'not_activated', 'blocked_pin', 'blocked_by_owner', 'expired')),
  contactless integer not null check (contactless in (0, 1)),
  pin_tries_left integer not null,
  expires text not null
);
create index cards_of on cards (customer_id);

create table charges (
  id text primary key,
  customer_id text not null references customers (id),
  card_id text not null references cards (id),
  merchant text not null,
  amount_cents integer not null check (amount_cents > 0),
  kind text not null check (kind in ('purchase', 'fee')),
  booked_on text not null
);
create index charges_of on charges (customer_id, merchant, amount_cents, booked_on);

create table transfers (
  id text primary key,
  customer_id text not null references customers (id),
  payee text not null,
  amount_cents integer not null check (amount_cents > 0),
  status text not null check (status in ('pending', 'held', 'completed')),
  created_on text not null
);
create index transfers_of on transfers (customer_id);

-- The first effect. `id` is the run's idempotency key, so a request that arrives a second time moves no money twice;
-- `deliveries` counts how often it arrived.
create table refunds (
  id text primary key,
  charge_id text not null unique references charges (id),
  customer_id text not null references customers (id),
  amount_cents integer not null check (amount_cents > 0),
  reason text not null,
  deliveries integer not null default 1,
  created_at text not null default current_timestamp
);

-- The second effect deliberately has no key: the printer cannot tell a repeated order from a new one.
-- A crash in the middle of it is therefore never repeated; a person is asked instead.
create table letters (
  id integer primary key autoincrement,
  customer_id text not null references customers (id),
  kind text not null check (kind in ('new_pin', 'new_card', 'statement', 'confirmation')),
  ordered_at text not null default current_timestamp
);

-- What was answered, one row a message.
create table replies (
  id text primary key,
  customer_id text not null,
  desk text not null,
  reply text not null,
  deliveries integer not null default 1,
  created_at text not null default current_timestamp
);
create index replies_of on replies (customer_id);

-- What the bank owes back by its own rules: the second of two equal purchases at one merchant on one day,
-- and fees charged to customers whose plan has none. The `refund` tool pays nothing that is not in here.
create view refundable as
select c.id, c.customer_id, c.merchant, c.amount_cents, c.booked_on, 'charged twice' as reason
from charges c
where c.kind = 'purchase'
  and exists (
    select 1 from charges first
    where first.customer_id = c.customer_id and first.merchant = c.merchant and first.amount_cents = c.amount_cents
      and first.booked_on = c.booked_on and first.kind = 'purchase' and first.id < c.id
  )
union all
select c.id, c.customer_id, c.merchant, c.amount_cents, c.booked_on, 'fee not part of the plan'
from charges c join customers on customers.id = c.customer_id
where c.kind = 'fee' and customers.plan = 'plus';
