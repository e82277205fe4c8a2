-- connection: bank
-- description: Pays a charge back. Name the charge and its exact amount; nothing else is ever paid.
-- write: true
-- parameters:
--   charge_id: { type: [string, 'null'] }
--   customer_id: string
--   amount_cents: { type: integer, minimum: 1 }

-- repeated with the same key, it moves no money twice and still gives the row
insert into refunds (id, charge_id, customer_id, amount_cents, reason)
select :idempotency_key, id, customer_id, amount_cents, reason from refundable
where id = :charge_id and customer_id = :customer_id and amount_cents = :amount_cents
and not exists (select 1 from refunds r where r.charge_id = refundable.id and r.id <> :idempotency_key)
on conflict (id) do update set deliveries = deliveries + 1 returning id, amount_cents, deliveries
