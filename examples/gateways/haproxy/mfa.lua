-- Asks the service whether a request may pass: `http-request lua.mfa` of haproxy.cfg. Not for you to change; for a code of
-- the last 15 minutes ask "/mfa/forward-auth?maxAge=900".

local QUESTION = "http://" .. os.getenv("MFA_SERVICE") .. "/mfa/forward-auth"
-- Of one try. HAProxy tries four times, and the service answers 503 by itself when its database has been gone for long.
local TIMEOUT_MS = 1000

-- What the application is told, all of it or nobody passes.
local IDENTITY = { "x-mfa-user", "x-mfa-subject", "x-mfa-namespace", "x-mfa-tenant", "x-mfa-acr", "x-mfa-reason" }
-- What a client is told of a refusal.
local REFUSAL = { "content-type", "cache-control", "location", "retry-after", "www-authenticate", "x-mfa-action", "x-mfa-location" }

-- HAProxy counts a header's values from 0.
local function values (headers, name)
  local list = {}
  local given = headers[name]
  for i = 0, given and #given or -1 do list[#list + 1] = given[i] end
  return list
end

-- Nothing that the client sent but this. A gateway before HAProxy that hands its token on in a header of its own has that
-- header named here, too.
local function question (txn)
  local headers = txn.http:req_get_headers()
  return {
    url = QUESTION,
    timeout = TIMEOUT_MS,
    headers = {
      ["authorization"]      = values(headers, "authorization"),
      ["accept"]             = values(headers, "accept"),
      ["x-forwarded-proto"]  = { txn.f:ssl_fc() == 1 and "https" or "http" },
      ["x-forwarded-host"]   = values(headers, "host"),
      ["x-forwarded-uri"]    = { txn.f:pathq() },
      ["x-forwarded-method"] = { txn.f:method() },
      ["x-forwarded-for"]    = { txn.f:src() }
    }
  }
end

local function refuse (txn, status, headers, body)
  local reply = txn:reply({ status = status, body = body })
  for _, name in ipairs(REFUSAL) do
    for _, value in ipairs(values(headers, name)) do reply:add_header(name, value) end
  end
  txn:done(reply)
end

core.register_action("mfa", { "http-req" }, function (txn)
  local answer = core.httpclient():get(question(txn))
  local status = answer and answer.status or 0
  if status == 200 then
    for _, name in ipairs(IDENTITY) do
      local value = values(answer.headers, name)[1]
      if value == nil then return end
      txn.http:req_set_header(name, value)
    end
    txn:set_var("txn.mfa", "allow")
  elseif status == 302 or status == 401 or status == 403 then
    refuse(txn, status, answer.headers, answer.body)
  end
  -- Whatever else it was, or nothing: haproxy.cfg answers 503.
end)
