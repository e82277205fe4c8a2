-- connection: bank
-- description: What the bank owes the customer - the second of two equal purchases, fees the plan does not have.
-- parameters: { customer_id: string }

select id, merchant, amount_cents, booked_on, reason from refundable
where customer_id = :customer_id and id not in (select charge_id from refunds) order by id
