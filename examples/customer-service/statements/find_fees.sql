-- connection: bank
-- description: Fees charged to the customer, and the plan they belong to.
-- parameters: { customer_id: string }

select charges.id, merchant, amount_cents, booked_on, plan from charges join customers on customers.id = customer_id
where customer_id = :customer_id and kind = 'fee' order by charges.id
