// dynamics-web-api against the emulator: one check a line on stdout, as JSON.
import { createRequire } from "node:module";
import assert from "node:assert/strict";

const [modules, url, token, account, priceLevel, product, unit] = process.argv.slice(2);
const { DynamicsWebApi } = createRequire(`${modules}/`)("dynamics-web-api");
const api = new DynamicsWebApi({
  serverUrl: url,
  dataApi: { version: "9.2" },
  onTokenRefresh: async () => token,
});

const customer = { "customerid_account@odata.bind": `/accounts(${account})` };
const order = (name, more = {}) => ({ name, ...customer, ...more });
const retrieve = (key, more = {}) => api.retrieve({ collection: "salesorders", key, ...more });
const refused = async (promise, status, code) => {
  const error = await promise.then(() => assert.fail("was not refused"), (found) => found);
  assert.equal(error.status, status, error.message);
  if (code) assert.equal(error.code, code, error.message);
};

const checks = {
  async "who am I"() {
    assert.ok((await api.callFunction("WhoAmI")).UserId);
  },

  async "create and retrieve"() {
    const id = await api.create({ collection: "salesorders", data: order("CREATED", { freightamount: 12.5 }) });
    const row = await retrieve(id, {
      select: ["name", "freightamount", "_customerid_value"],
      expand: [{ property: "customerid_account", select: ["name"] }],
      includeAnnotations: "*",
    });
    assert.equal(row.name, "CREATED");
    assert.equal(row.freightamount, 12.5);
    assert.equal(row._customerid_value, account);
    assert.ok(row["_customerid_value@OData.Community.Display.V1.FormattedValue"]);
    assert.ok(row.customerid_account.name);
  },

  async "create with a representation, deep insert"() {
    const row = await api.create({
      collection: "salesorders",
      data: order("DEEP", {
        order_details: [{ isproductoverridden: true, productdescription: "Labor", quantity: 2, priceperunit: 10 }],
      }),
      returnRepresentation: true,
      select: ["name"],
    });
    assert.equal(row.name, "DEEP");
    assert.equal((await retrieve(row.salesorderid, { select: ["totalamount"] })).totalamount, 20);
  },

  async "pages"() {
    for (let n = 0; n < 5; n++) await api.create({ collection: "accounts", data: { name: `page ${n}` } });
    const request = { collection: "accounts", select: ["name"], filter: "startswith(name,'page')", maxPageSize: 2, count: true };
    const first = await api.retrieveMultiple(request);
    assert.equal(first.value.length, 2);
    assert.equal(first.oDataCount, 5);
    const second = await api.retrieveMultiple(request, first.oDataNextLink);
    assert.deepEqual(second.value.map((row) => row.name), ["page 2", "page 3"]);
    const all = await api.retrieveAll({ collection: "accounts", select: ["name"], filter: "startswith(name,'page')" });
    assert.equal(all.value.length, 5);
    assert.equal(await api.count({ collection: "accounts", filter: "startswith(name,'page')" }), 5);
  },

  async "a batch with a change set and Content-IDs"() {
    api.startBatch();
    api.create({ collection: "salesorders", data: order("BATCHED"), contentId: "1" });
    api.create({
      collection: "salesorderdetails",
      data: {
        "salesorderid@odata.bind": "$1",
        "productid@odata.bind": `/products(${product})`,
        "uomid@odata.bind": `/uoms(${unit})`,
        quantity: 2,
        ispriceoverridden: true,
        priceperunit: 5,
      },
    });
    const [id] = await api.executeBatch();
    const row = await retrieve(id, { select: ["name", "totalamount"], expand: [{ property: "order_details" }] });
    assert.equal(row.name, "BATCHED");
    assert.equal(row.totalamount, 10);
    assert.equal(row.order_details.length, 1);
  },

  async "a failing change set leaves nothing"() {
    api.startBatch();
    api.create({ collection: "salesorders", data: order("LOST"), contentId: "1" });
    api.create({ collection: "salesorderdetails", data: { "salesorderid@odata.bind": "$1", quantity: 1 } });
    await assert.rejects(api.executeBatch());
    const found = await api.retrieveMultiple({ collection: "salesorders", filter: "name eq 'LOST'" });
    assert.equal(found.value.length, 0);
  },

  async "reads in a batch"() {
    api.startBatch();
    api.retrieveMultiple({ collection: "salesorders", select: ["name"], top: 1 });
    api.callFunction("WhoAmI");
    const [orders, who] = await api.executeBatch();
    assert.equal(orders.value.length, 1);
    assert.ok(who.UserId);
  },

  async "update, upsert, If-Match and If-None-Match"() {
    const key = "a1000000-0000-4000-8000-000000000001";
    const collection = "salesorders";
    await refused(api.update({ collection, key, data: { description: "x" } }), 404, "0x80040217");
    await api.upsert({ collection, key, data: order("UPSERTED") });
    await api.upsert({ collection, key, data: { description: "upserted again" } });
    assert.equal((await retrieve(key)).description, "upserted again");
    // The client turns 412 into null, and for an update into false.
    assert.equal(await api.upsert({ collection, key, data: order("x"), ifnonematch: "*" }), null);
    const other = "a1000000-0000-4000-8000-000000000002";
    assert.equal(await api.upsert({ collection, key: other, data: order("x"), ifmatch: "*" }), null);
    const etag = (await retrieve(key))["@odata.etag"];
    await api.update({ collection, key, data: { description: "one" }, ifmatch: etag });
    assert.equal(await api.update({ collection, key, data: { description: "two" }, ifmatch: etag }), false);
    const row = await api.update({ collection, key, data: { description: "three" }, returnRepresentation: true });
    assert.equal(row.description, "three");
    const current = await api.retrieve({ collection, key, ifnonematch: row["@odata.etag"] }).catch((found) => found);
    assert.ok(current == null || current.status === 304);
  },

  async "by alternate key"() {
    const key = "accountnumber='NODE1'";
    await api.upsert({ collection: "accounts", key, data: { name: "by key" } });
    assert.equal((await api.retrieve({ collection: "accounts", key, select: ["name"] })).name, "by key");
  },

  async "look-ups bound and cleared"() {
    const id = await api.create({ collection: "salesorders", data: order("LOOKUP") });
    const bind = { "pricelevelid@odata.bind": `/pricelevels(${priceLevel})` };
    await api.update({ collection: "salesorders", key: id, data: bind });
    assert.equal((await retrieve(id))._pricelevelid_value, priceLevel);
    await api.disassociateSingleValued({ collection: "salesorders", primaryKey: id, navigationProperty: "pricelevelid" });
    assert.equal((await retrieve(id))._pricelevelid_value, null);
    await api.associateSingleValued({
      collection: "salesorders",
      primaryKey: id,
      navigationProperty: "pricelevelid",
      relatedCollection: "pricelevels",
      relatedKey: priceLevel,
    });
    assert.equal((await retrieve(id))._pricelevelid_value, priceLevel);
    await api.update({ collection: "salesorders", key: id, data: { pricelevelid: null } });
    assert.equal((await retrieve(id))._pricelevelid_value, null);
  },

  async "one property"() {
    const id = await api.create({ collection: "salesorders", data: order("PROPERTY") });
    await api.updateSingleProperty({ collection: "salesorders", key: id, fieldValuePair: { description: "one" } });
    assert.equal((await retrieve(id)).description, "one");
    await api.deleteRecord({ collection: "salesorders", key: id, property: "description" });
    assert.equal((await retrieve(id)).description, null);
  },

  async "actions"() {
    const id = await api.create({ collection: "salesorders", data: order("SHARED") });
    const user = (await api.callFunction("WhoAmI")).UserId;
    await api.callAction({
      actionName: "GrantAccess",
      action: {
        Target: { salesorderid: id, "@odata.type": "Microsoft.Dynamics.CRM.salesorder" },
        PrincipalAccess: {
          AccessMask: "ReadAccess",
          Principal: { systemuserid: user, "@odata.type": "Microsoft.Dynamics.CRM.systemuser" },
        },
      },
    });
    const shared = await api.callFunction({
      name: "RetrieveSharedPrincipalsAndAccess",
      parameters: { Target: { "@odata.id": `salesorders(${id})` } },
    });
    assert.equal(shared.PrincipalAccesses[0].AccessMask, "ReadAccess");
  },

  async "metadata"() {
    const entities = await api.retrieveEntities({ select: ["LogicalName", "EntitySetName"], filter: "LogicalName eq 'salesorder'" });
    assert.deepEqual(entities.value.map((entity) => entity.EntitySetName), ["salesorders"]);
    const key = "LogicalName='salesorder'";
    const entity = await api.retrieveEntity({ key, select: ["PrimaryIdAttribute"], expand: [{ property: "Keys" }] });
    assert.equal(entity.PrimaryIdAttribute, "salesorderid");
    const attributes = await api.retrieveAttributes({
      entityKey: key,
      castType: "Microsoft.Dynamics.CRM.StringAttributeMetadata",
      select: ["LogicalName", "MaxLength"],
    });
    assert.equal(attributes.value.find((attribute) => attribute.LogicalName === "name").MaxLength, 300);
    const status = await api.retrieveAttribute({
      entityKey: key,
      attributeKey: "LogicalName='statuscode'",
      castType: "Microsoft.Dynamics.CRM.StatusAttributeMetadata",
      select: ["LogicalName"],
      expand: [{ property: "OptionSet" }],
    });
    assert.ok(status.OptionSet.Options.some((option) => option.Value === 100001 && option.State === 3));
  },

  async "a unit group, its base unit and a unit in two batches"() {
    const group = await api.create({ collection: "uomschedules", data: { name: "NODE", baseuomname: "Each" } });
    const ofGroup = { collection: "uoms", filter: `_uomscheduleid_value eq ${group}`, select: ["name", "quantity"] };
    const [base] = (await api.retrieveMultiple(ofGroup)).value;
    assert.deepEqual([base.name, base.quantity], ["Each", 1]);
    const box = {
      name: "Box",
      quantity: 12,
      "uomscheduleid@odata.bind": `/uomschedules(${group})`,
      "baseuom@odata.bind": `/uoms(${base.uomid})`,
    };
    api.startBatch();
    api.create({ collection: "uoms", data: box });
    await api.executeBatch();
    assert.equal((await api.retrieveMultiple(ofGroup)).value.length, 2);
    await refused(api.deleteRecord({ collection: "uoms", key: base.uomid }), 400, "0x80043b03");
  },

  async "a product from draft to retired"() {
    const unitRow = await api.retrieve({ collection: "uoms", key: unit, select: ["_uomscheduleid_value"] });
    const data = {
      productnumber: "NODE",
      name: "Node",
      quantitydecimal: 0,
      productstructure: 1,
      "defaultuomid@odata.bind": `/uoms(${unit})`,
      "defaultuomscheduleid@odata.bind": `/uomschedules(${unitRow._uomscheduleid_value})`,
    };
    const collection = "products";
    await refused(api.create({ collection, data: { ...data, statuscode: 1 } }), 400, "0x80048408");
    api.startBatch();
    api.create({ collection, data, contentId: "1" });
    api.update({ collection: "$1", data: { statecode: 0, statuscode: 1 } });
    const [key] = await api.executeBatch();
    await api.update({ collection, key, data: { statecode: 1, statuscode: 2 } });
    await refused(api.update({ collection, key, data: { name: "x" } }), 400, "0x8004f995");
    assert.equal((await api.retrieve({ collection, key, select: ["statecode"] })).statecode, 1);
  },

  async "an account below another"() {
    const parent = await api.create({ collection: "accounts", data: { name: "Parent" } });
    const below = (key) => ({ "parentaccountid@odata.bind": `/accounts(${key})` });
    const child = await api.create({ collection: "accounts", data: { name: "Child", ...below(parent) } });
    await refused(api.update({ collection: "accounts", key: parent, data: below(child) }), 400, "0x80040507");
  },

  async "an order fulfilled and its invoice paid"() {
    const key = await api.create({ collection: "salesorders", data: order("ENDED") });
    const action = {
      OrderClose: { "@odata.type": "Microsoft.Dynamics.CRM.orderclose", "salesorderid@odata.bind": `/salesorders(${key})` },
      Status: 100001,
    };
    api.startBatch();
    api.update({ collection: "salesorders", key, data: { description: "final" } });
    api.callAction({ actionName: "FulfillSalesOrder", action });
    await api.executeBatch();
    assert.deepEqual([(await retrieve(key)).statecode, (await retrieve(key)).description], [3, "final"]);
    await refused(api.callAction({ actionName: "CancelSalesOrder", action: { ...action, Status: 4 } }), 400, "0x80040233");
    const invoice = await api.create({
      collection: "invoices",
      data: {
        name: "INVOICED",
        ...customer,
        "salesorderid@odata.bind": `/salesorders(${key})`,
        invoice_details: [{ isproductoverridden: true, productdescription: "Labor", quantity: 2, priceperunit: 10 }],
      },
    });
    const paid = { statecode: 2, statuscode: 100001 };
    await api.update({ collection: "invoices", key: invoice, data: paid });
    await refused(api.update({ collection: "invoices", key: invoice, data: { description: "x" } }), 400, "0x8004022e");
    const row = await api.retrieve({ collection: "invoices", key: invoice, expand: [{ property: "salesorderid" }] });
    assert.deepEqual([row.totalamount, row.statuscode, row.salesorderid.name], [20, 100001, "ENDED"]);
  },

  async "change tracking"() {
    const start = await api.retrieveMultiple({ collection: "salesorders", select: ["name"], trackChanges: true });
    await api.create({ collection: "salesorders", data: order("CHANGED") });
    const delta = await api.retrieveMultiple({ collection: "salesorders" }, start.oDataDeltaLink ?? start["@odata.deltaLink"]);
    assert.deepEqual(delta.value.map((row) => row.name), ["CHANGED"]);
  },

  async "delete"() {
    const id = await api.create({ collection: "salesorders", data: order("DELETED") });
    await api.deleteRecord({ collection: "salesorders", key: id });
    await refused(retrieve(id), 404, "0x80040217");
    await refused(api.deleteRecord({ collection: "accounts", key: account }), 405, "0x80040227");
  },
};

for (const [name, check] of Object.entries(checks)) {
  let problem = null;
  try {
    await check();
  } catch (error) {
    problem = error instanceof Error ? `${error.message}\n${error.stack}` : JSON.stringify(error);
  }
  console.log(JSON.stringify({ name, problem }));
}
process.exit(0);
