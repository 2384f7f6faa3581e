package configs

// The sections of a scenario file. Each has its keys here, its decoder in scenario.go and its table in docs/simulate.md; a test holds them together.
const (
	inScenario section = "scenario"
	inClients  section = "scenario.clients"
	inEvent    section = "scenario.events[]"
)

// scenarioSections lists the sections in the order of the documentation.
func scenarioSections() []section { return []section{inScenario, inClients, inEvent} }

// scenarioKeys is keys for the sections of a scenario.
func (s section) scenarioKeys() []string {
	switch s {
	case inScenario:
		return []string{"title", "config", "service", "policy", "family", "duration", "step", "start", "seed", "spread", "clients", "capacity", "events"}
	case inClients:
		return []string{"number", "queries", "zipf", "shares", "file"}
	case inEvent:
		return []string{"at", "site", "endpoint", "state", "load", "weight"}
	}
	return nil
}

// scenarioSynonyms is synonyms for the sections of a scenario.
func (s section) scenarioSynonyms() map[string]string {
	switch s {
	case inScenario:
		return map[string]string{"name": "title", "length": "duration", "every": "step", "interval": "step", "time": "start", "population": "clients", "type": "family", "capacities": "capacity"}
	case inClients:
		return map[string]string{"count": "number", "clients": "number", "qps": "queries", "rate": "queries", "csv": "file", "regions": "shares"}
	case inEvent:
		return map[string]string{"time": "at", "when": "at", "after": "at", "is": "state", "to": "state"}
	}
	return nil
}
