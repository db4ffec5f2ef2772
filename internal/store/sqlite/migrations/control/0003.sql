-- An endpoint's id is unique among the live ones of its tenant alone, since
-- callers may choose it.
DROP INDEX endpoints_id;
CREATE UNIQUE INDEX endpoints_id ON endpoints (json_extract(doc, '$.TenantNum'), id) WHERE deleted = 0;
