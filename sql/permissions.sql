-- The least rights that gp_to_crm needs. Run as a member of sysadmin; replace the three names and the password.
--   TWO         GP's company database (repeat the second part for each company)
--   gp_to_crm   the database of dbt and of the loader's journal
--   gp_to_crm   the login that dbt and the loader sign in with

use master;
if suser_id('gp_to_crm') is null
    create login gp_to_crm with password = 'choose one', default_database = master;
if db_id('gp_to_crm') is null
    create database gp_to_crm;
-- Readers and writers do not wait for each other: an analyst's select never holds up a push.
alter database gp_to_crm set read_committed_snapshot on with rollback immediate;
go

-- GP: select on the tables that are read, nothing else. No writes, no objects, no triggers.
use TWO;
if user_id('gp_to_crm') is null
    create user gp_to_crm for login gp_to_crm;
grant select on dbo.SOP10100 to gp_to_crm;
grant select on dbo.SOP10200 to gp_to_crm;
grant select on dbo.SOP30200 to gp_to_crm;
grant select on dbo.RM00102 to gp_to_crm;
grant select on dbo.IV00101 to gp_to_crm;
-- Only where var `sync` switches them on: units, products (IV40201 alone).
grant select on dbo.IV40201 to gp_to_crm;
grant select on dbo.IV40202 to gp_to_crm;
-- Customers.
grant select on dbo.RM00101 to gp_to_crm;
grant select on dbo.SY01200 to gp_to_crm;
-- Transferred orders, invoices.
grant select on dbo.SOP30300 to gp_to_crm;
-- Invoices.
grant select on dbo.RM20101 to gp_to_crm;
grant select on dbo.RM30101 to gp_to_crm;
go

-- Its own database: dbt creates views, seeds and test views, the loader the journal.
use gp_to_crm;
if user_id('gp_to_crm') is null
    create user gp_to_crm for login gp_to_crm;
grant create table, create view, create schema to gp_to_crm;
grant alter, select, insert, update, delete, references on schema::dbo to gp_to_crm;
go

-- Analysts: read the views and the journal. They need no rights in GP only where both databases have one owner and
-- cross-database ownership chaining is on; otherwise give them select on the GP tables above.
-- create user [DOMAIN\Sales Analysts] for login [DOMAIN\Sales Analysts];
-- grant select to [DOMAIN\Sales Analysts];
