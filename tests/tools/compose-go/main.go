// Reads docker-compose.yaml and .env in the current folder as `docker compose config` does, and prints what comes of it
// as JSON, or what is wrong. COMPOSE_PROFILES chooses the profiles.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	options, err := cli.NewProjectOptions(
		nil,
		cli.WithOsEnv,
		cli.WithEnvFiles(),
		cli.WithDotEnv,
		cli.WithDefaultConfigPath,
		cli.WithDefaultProfiles(),
	)
	var text []byte
	if err == nil {
		project, problem := options.LoadProject(context.Background())
		err = problem
		if err == nil {
			text, err = json.Marshal(project)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(text))
}
